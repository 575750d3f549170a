/** How good our own connection is, from the browser's statistics. */
export type Quality = "good" | "fair" | "poor" | "lost";

/** Counters of one moment; rates come from two of them. */
export interface QualitySample {
  readonly packetsReceived: number;
  readonly packetsLost: number;
  /** What the server reports of our own packets, 0 to 1. */
  readonly sentLoss: number;
  /** ms */
  readonly roundTrip: number;
  /** ms */
  readonly jitter: number;
}

export function sampleFrom(report: RTCStatsReport): QualitySample {
  let packetsReceived = 0;
  let packetsLost = 0;
  let sentLoss = 0;
  let roundTrip = 0;
  let jitter = 0;
  report.forEach((entry: Readonly<Record<string, unknown>>) => {
    const number = (key: string): number => (typeof entry[key] === "number" ? (entry[key] as number) : 0);
    if (entry.type === "inbound-rtp") {
      packetsReceived += number("packetsReceived");
      packetsLost += number("packetsLost");
      if (entry.kind === "audio") jitter = Math.max(jitter, number("jitter") * 1000);
    } else if (entry.type === "remote-inbound-rtp") {
      sentLoss = Math.max(sentLoss, number("fractionLost"));
    } else if (entry.type === "candidate-pair" && entry.nominated === true) {
      roundTrip = number("currentRoundTripTime") * 1000;
    }
  });
  return { packetsReceived, packetsLost, sentLoss, roundTrip, jitter };
}

/** What people notice: loss above 3 % or 300 ms of way there and back is fair, above 10 % or 600 ms poor. */
export function qualityBetween(before: QualitySample, now: QualitySample): Quality {
  const lost = Math.max(0, now.packetsLost - before.packetsLost);
  const received = Math.max(0, now.packetsReceived - before.packetsReceived);
  const receivedLoss = lost + received > 0 ? lost / (lost + received) : 0;
  const loss = Math.max(receivedLoss, now.sentLoss);
  if (loss > 0.1 || now.roundTrip > 600 || now.jitter > 120) return "poor";
  if (loss > 0.03 || now.roundTrip > 300 || now.jitter > 50) return "fair";
  return "good";
}
