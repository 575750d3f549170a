import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon.js";

interface ControlProps {
  icon: IconName;
  /** What it does now, which says of a switch how it stands; also its tooltip. */
  label: string;
  testId: string;
  onClick(): void;
  /** For buttons that open a panel: whether it is open. */
  expanded?: boolean;
  tone?: "plain" | "off" | "active" | "danger";
  shortcut?: string;
  badge?: string;
  disabled?: boolean;
}

/** A round button with an icon. */
export function Control(props: ControlProps) {
  const { icon, label, testId, onClick, expanded, tone = "plain", shortcut, badge, disabled } = props;
  return (
    <button
      type="button"
      class={`control ${tone}`}
      data-testid={testId}
      aria-label={label}
      title={shortcut ? `${label} (${shortcut})` : label}
      aria-expanded={expanded}
      aria-keyshortcuts={shortcut}
      disabled={disabled ?? false}
      onClick={onClick}
    >
      <Icon name={icon} />
      {badge && (
        <span class="badge" aria-hidden="true">
          {badge}
        </span>
      )}
    </button>
  );
}

interface ButtonProps {
  children: ComponentChildren;
  onClick?: (() => void) | undefined;
  testId?: string;
  type?: "button" | "submit";
  tone?: "plain" | "primary" | "danger";
  icon?: IconName;
  disabled?: boolean;
}

export function Button({
  children,
  onClick,
  testId,
  type = "button",
  tone = "plain",
  icon,
  disabled,
}: ButtonProps) {
  return (
    <button
      type={type}
      class={`button ${tone}`}
      data-testid={testId}
      onClick={onClick}
      disabled={disabled ?? false}
    >
      {icon && <Icon name={icon} size={19} />}
      <span>{children}</span>
    </button>
  );
}
