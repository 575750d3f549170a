import { render } from "preact";
import { App } from "./app.js";
import { keepHostKey, parseAddress } from "./model/address.js";
import { Visit } from "./model/visit.js";
import { Landing } from "./screens/landing.js";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/door.css";
import "./styles/room.css";
import "./styles/tile.css";
import "./styles/panel.css";
import "./styles/toast.css";

const root = document.getElementById("app");
const address = parseAddress(location);
if (root && address) {
  const visit = new Visit(keepHostKey(address));
  render(<App visit={visit} />, root);
  void visit.load();
} else if (root) {
  render(<Landing />, root);
}
