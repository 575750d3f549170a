import { describe, expect, it } from "vitest";
import { levelOf } from "../src/local/meter.js";
import { type QualitySample, qualityBetween, sampleFrom } from "../src/media/quality.js";

const sample = (fields: Partial<QualitySample>): QualitySample => ({
  packetsReceived: 0,
  packetsLost: 0,
  sentLoss: 0,
  roundTrip: 20,
  jitter: 5,
  ...fields,
});

describe("qualityBetween", () => {
  const before = sample({ packetsReceived: 10_000, packetsLost: 900 });

  it.each<[string, Partial<QualitySample>, string]>([
    ["nothing lost", { packetsReceived: 10_200, packetsLost: 900 }, "good"],
    ["loss of long ago", { packetsReceived: 10_990, packetsLost: 910 }, "good"],
    ["5 % lost since", { packetsReceived: 10_950, packetsLost: 950 }, "fair"],
    ["20 % lost since", { packetsReceived: 10_800, packetsLost: 1_100 }, "poor"],
    ["nothing received, as in a silent room", { packetsReceived: 10_000, packetsLost: 900 }, "good"],
    ["a long way", { packetsReceived: 10_200, packetsLost: 900, roundTrip: 400 }, "fair"],
    ["what we send getting lost", { packetsReceived: 10_200, packetsLost: 900, sentLoss: 0.15 }, "poor"],
    ["counters that start anew", { packetsReceived: 5, packetsLost: 0 }, "good"],
  ])("judges %s", (_, now, quality) => {
    expect(qualityBetween(before, sample(now))).toBe(quality);
  });
});

describe("sampleFrom", () => {
  it("sums what is received, and takes the worst of what is sent", () => {
    const report = new Map<string, unknown>([
      ["a", { type: "inbound-rtp", kind: "audio", packetsReceived: 100, packetsLost: 2, jitter: 0.01 }],
      ["b", { type: "inbound-rtp", kind: "video", packetsReceived: 300, packetsLost: 3, jitter: 0.5 }],
      ["c", { type: "remote-inbound-rtp", fractionLost: 0.02 }],
      ["d", { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.05 }],
      ["e", { type: "candidate-pair", nominated: false, currentRoundTripTime: 9 }],
    ]);
    expect(sampleFrom(report as unknown as RTCStatsReport)).toEqual({
      packetsReceived: 400,
      packetsLost: 5,
      sentLoss: 0.02,
      roundTrip: 50,
      jitter: 10,
    });
  });
});

describe("levelOf", () => {
  it("is still in silence, full when loud, and rises between", () => {
    const tone = (amplitude: number): number =>
      levelOf(Float32Array.from({ length: 480 }, (_, index) => amplitude * Math.sin(index / 5)));
    expect(tone(0)).toBe(0);
    expect(tone(1)).toBe(1);
    expect(tone(0.02)).toBeGreaterThan(0.3);
    expect(tone(0.02)).toBeLessThan(tone(0.1));
    expect(levelOf(new Float32Array(0))).toBe(0);
  });
});
