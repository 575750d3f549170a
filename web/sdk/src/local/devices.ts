/** The devices the browser lets us see. Labels and ids are empty until the person has allowed one. */
export interface Devices {
  readonly microphones: readonly MediaDeviceInfo[];
  readonly cameras: readonly MediaDeviceInfo[];
  readonly speakers: readonly MediaDeviceInfo[];
}

export const NO_DEVICES: Devices = { microphones: [], cameras: [], speakers: [] };

export async function listDevices(mediaDevices: MediaDevices | undefined): Promise<Devices> {
  if (!mediaDevices?.enumerateDevices) return NO_DEVICES;
  const all = await mediaDevices.enumerateDevices().catch(() => []);
  const known = all.filter(({ deviceId }) => deviceId !== "");
  return {
    microphones: known.filter(({ kind }) => kind === "audioinput"),
    cameras: known.filter(({ kind }) => kind === "videoinput"),
    speakers: known.filter(({ kind }) => kind === "audiooutput"),
  };
}
