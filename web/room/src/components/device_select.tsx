import { useId } from "preact/hooks";

interface DeviceSelectProps {
  label: string;
  devices: readonly MediaDeviceInfo[];
  chosen: string;
  onChoose(deviceId: string): void;
}

/** Nothing to choose from shows as such: before a permission, and without a device. */
export function DeviceSelect({ label, devices, chosen, onChoose }: DeviceSelectProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        disabled={devices.length === 0}
        value={chosen}
        onChange={({ currentTarget }) => onChoose(currentTarget.value)}
      >
        {devices.length === 0 && <option value="">{`No ${label.toLowerCase()} to choose`}</option>}
        {devices.length > 0 && !devices.some(({ deviceId }) => deviceId === chosen) && (
          <option value={chosen}>System default</option>
        )}
        {devices.map(({ deviceId, label: name }, index) => (
          <option key={deviceId} value={deviceId}>
            {name || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </div>
  );
}
