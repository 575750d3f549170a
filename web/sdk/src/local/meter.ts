/** How loud a track is, 0 to 1 on a scale that looks right, about 30 times a second until the returned function is called. */
export function meter(track: MediaStreamTrack, onLevel: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let shown = 0;
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    shown = Math.max(levelOf(samples), shown * 0.85);
    onLevel(shown);
  }, 33);
  // A page nobody has clicked on yet has its sound suspended, its analysis with it.
  void context.resume().catch(() => undefined);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

/** Root mean square, in decibels from -60 to -10, mapped to 0…1. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.min(1, Math.max(0, (decibels + 60) / 50));
}
