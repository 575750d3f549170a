// Runs in the room page before its own scripts: notes when the start of each tone is played, in ms since 1970.
(() => {
  const EAR = `
    registerProcessor("ear", class extends AudioWorkletProcessor {
      quiet = 0;
      process([input]) {
        const samples = input[0] ?? [];
        for (let i = 0; i < samples.length; i++) {
          if (Math.abs(samples[i]) > 0.1) {
            if (this.quiet > sampleRate / 5) this.port.postMessage(currentTime + i / sampleRate);
            this.quiet = 0;
          } else this.quiet++;
        }
        return true;
      }
    });`;
  const Original = window.RTCPeerConnection;
  const connections = [];
  window.RTCPeerConnection = new Proxy(Original, {
    construct(target, parameters) {
      const connection = new target(...parameters);
      connections.push(connection);
      return connection;
    },
  });
  window.tonesHeard = [];
  window.listenForTones = async () => {
    const context = new AudioContext({ latencyHint: "interactive" });
    await context.resume();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([EAR], { type: "text/javascript" })));
    for (const connection of connections) {
      for (const receiver of connection.getReceivers()) {
        if (receiver.track.kind !== "audio") continue;
        const ear = new AudioWorkletNode(context, "ear");
        // Context time becomes clock time by the moment at which a sample leaves the machine.
        ear.port.onmessage = ({ data: when }) => {
          const { contextTime, performanceTime } = context.getOutputTimestamp();
          window.tonesHeard.push(performance.timeOrigin + performanceTime + (when - contextTime) * 1000);
        };
        context.createMediaStreamSource(new MediaStream([receiver.track])).connect(ear).connect(context.destination);
      }
    }
    return context.state;
  };
})();
