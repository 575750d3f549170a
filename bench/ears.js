// Runs in the room page before its own scripts: notes, in ms since 1970, when the start of each tone comes over the
// network (the arrival of its packet, plus the place of its first sample in that packet) and when it is played.
(() => {
  const ONSETS = `
    class Onsets {
      constructor(rate) {
        this.rate = rate;
        this.quiet = Infinity;
      }
      // Seconds into these samples at which a tone begins after 200 ms without one.
      *find(samples) {
        for (let i = 0; i < samples.length; i++) {
          if (Math.abs(samples[i]) > 0.1) {
            if (this.quiet > this.rate / 5) yield i / this.rate;
            this.quiet = 0;
          } else this.quiet++;
        }
      }
    }`;
  const EAR = `${ONSETS}
    registerProcessor("ear", class extends AudioWorkletProcessor {
      onsets = new Onsets(sampleRate);
      process([input]) {
        for (const place of this.onsets.find(input[0] ?? [])) this.port.postMessage(currentTime + place);
        return true;
      }
    });`;
  // Each packet is let through before it is looked at; the decoder, one output for one packet, says where in it the
  // tone begins.
  const DOOR = `${ONSETS}
    onrtctransform = ({ transformer: { readable, writable } }) => {
      const onsets = new Onsets(48000);
      const packets = [];
      let next = 0;
      const decoder = new AudioDecoder({
        output: (sound) => {
          const samples = new Float32Array(sound.numberOfFrames);
          sound.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
          const { rtpTimestamp, receiveTime } = packets.shift();
          // Nothing is sent of a phone that is silent.
          onsets.quiet += (rtpTimestamp - next) >>> 0;
          next = rtpTimestamp + sound.numberOfFrames;
          sound.close();
          for (const place of onsets.find(samples)) {
            postMessage({ arrived: performance.timeOrigin + receiveTime + place * 1000 });
          }
        },
        error: (error) => postMessage({ failed: String(error) }),
      });
      decoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 1 });
      const transform = (frame, controller) => {
        const [metadata, data] = [frame.getMetadata(), frame.data.slice(0)];
        controller.enqueue(frame);
        packets.push(metadata);
        const timestamp = Math.round(metadata.rtpTimestamp / 0.048);
        decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
      };
      readable.pipeThrough(new TransformStream({ transform })).pipeTo(writable);
    };`;
  const script = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const receivers = [];
  const addTransceiver = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (kind, options) {
    const transceiver = addTransceiver.call(this, kind, options);
    if (kind === "audio" && options.direction === "recvonly") {
      receivers.push(transceiver.receiver);
      // Chromium sends nothing through a transform that is set later than this.
      transceiver.receiver.transform = new RTCRtpScriptTransform(door());
    }
    return transceiver;
  };
  const door = () => {
    const worker = new Worker(script(DOOR));
    worker.onerror = ({ message }) => window.tones.failed.push(message || "the worker did not start");
    worker.onmessage = ({ data: { arrived, failed } }) => {
      if (failed) window.tones.failed.push(failed);
      else window.tones.arrived.push(arrived);
    };
    return worker;
  };
  window.tones = { arrived: [], heard: [], output: [], failed: [] };
  window.listenForTones = async () => {
    const context = new AudioContext({ latencyHint: "interactive" });
    await context.resume();
    await context.audioWorklet.addModule(script(EAR));
    for (const receiver of receivers) {
      const ear = new AudioWorkletNode(context, "ear");
      // Context time becomes clock time by the moment at which a sample leaves the machine.
      ear.port.onmessage = ({ data: when }) => {
        const { contextTime, performanceTime } = context.getOutputTimestamp();
        window.tones.heard.push(performance.timeOrigin + performanceTime + (when - contextTime) * 1000);
        window.tones.output.push((context.currentTime - contextTime) * 1000 - (performance.now() - performanceTime));
      };
      context.createMediaStreamSource(new MediaStream([receiver.track])).connect(ear).connect(context.destination);
    }
    return context.state;
  };
})();
