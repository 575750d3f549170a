import type { Source } from "../values.js";

/**
 * How each source is encoded: bit rates in bit/s. One encoding each; simulcast layers of the camera are further
 * entries of its list.
 */
export function encodingsFor(source: Source): RTCRtpEncodingParameters[] {
  switch (source) {
    case "microphone":
      return [{ maxBitrate: 40_000, priority: "high", networkPriority: "high" }];
    case "camera":
      return [{ maxBitrate: 1_200_000 }];
    case "screen":
      return [{ maxBitrate: 2_500_000 }];
  }
}
