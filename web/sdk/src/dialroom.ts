/**
 * dialroom for the browser: a room with everyone in it, those on the phone too.
 *
 *     import { join, show } from "dialroom";
 *
 *     const room = await join({ token, name: "Ada", microphone: true, camera: true });
 *     room.on("participant.joined", ({ name, kind }) => console.log(`${name} is here by ${kind}`));
 *     show(room, room.me.id, "camera", document.querySelector("video"));
 */
export type { Environment, Socket } from "./environment.js";
export { DialroomError, type ErrorReason } from "./errors.js";
export { type JoinOptions, join } from "./join.js";
export type { Devices } from "./local/devices.js";
export { LocalMedia, type LocalMediaEvents } from "./local/local_media.js";
export { meter } from "./local/meter.js";
export type { MediaState } from "./media/connection.js";
export type { Quality } from "./media/quality.js";
export type { Room, RoomEvents } from "./room.js";
export { show } from "./show.js";
export type { SignallingState, TokenSource } from "./signalling/signalling.js";
export type * from "./values.js";
export { roomFrom as parseRoom } from "./wire.js";
