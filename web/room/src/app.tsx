import { Button } from "./components/button.js";
import { ToastList } from "./components/toasts.js";
import type { Visit } from "./model/visit.js";
import { overWords, toVisitors } from "./model/words.js";
import { Message } from "./screens/message.js";
import { Prejoin } from "./screens/prejoin.js";
import { RoomScreen } from "./screens/room.js";

export function App({ visit }: { visit: Visit }) {
  return (
    <>
      <Screen visit={visit} />
      <ToastList toasts={visit.toasts} />
    </>
  );
}

function Screen({ visit }: { visit: Visit }) {
  const view = visit.view.value;
  switch (view.at) {
    case "loading":
      return <Message title="Opening the room" testId="loading" busy />;
    case "unavailable": {
      const { code, title, detail, fix } = toVisitors(view.error);
      return (
        <Message title={unavailableTitle(code, title)} testId="unavailable" reason={code}>
          <p>{detail}</p>
          <p>{fix}</p>
          <Button onClick={() => void visit.load()}>Try again</Button>
        </Message>
      );
    }
    case "prejoin":
    case "joining":
      return (
        <Prejoin
          visit={visit}
          busy={view.at === "joining"}
          error={view.at === "prejoin" ? view.error : null}
        />
      );
    case "waiting":
      return (
        <Message title="The session has not started yet" testId="waiting" busy>
          <p>You are let in as soon as it does. Keep this page open.</p>
          <Button onClick={() => visit.cancelWaiting()}>Back</Button>
        </Message>
      );
    case "room":
      return <RoomScreen visit={visit} view={view.view} />;
    case "over": {
      const { title, detail, again } = overWords(view.reason);
      const error = view.error && toVisitors(view.error);
      return (
        <Message title={error?.title ?? title} testId="over" reason={view.reason}>
          <p>{error?.detail || detail}</p>
          {again && (
            <Button tone="primary" testId="rejoin-button" onClick={() => void visit.again()}>
              Join again
            </Button>
          )}
        </Message>
      );
    }
  }
}

function unavailableTitle(code: string, title: string): string {
  return code === "not_found" ? "There is no such room" : title;
}
