// The microphone. Out: 16-bit samples at 16 kHz as they are spoken, and all of them as a WAV file at the end.

const RATE = 16000;

export class Microphone {
  #stream = null;
  #context = null;
  #chunks = [];

  // Throws what `getUserMedia` throws; `onSamples` gets 0.1 s at a time.
  async start(onSamples) {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError"); // not https, and not this machine
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule("/playground/pcm.js");
    const worklet = new AudioWorkletNode(this.#context, "pcm", { numberOfOutputs: 0 });
    worklet.port.onmessage = ({ data }) => {
      this.#chunks.push(data.slice());
      onSamples(data);
    };
    this.#context.createMediaStreamSource(this.#stream).connect(worklet);
    await this.#context.resume();
  }

  async stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context?.state !== "closed") await this.#context?.close();
  }

  get seconds() {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0) / RATE;
  }

  // What was heard so far.
  wav() {
    const nBytes = 2 * this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const header = new DataView(new ArrayBuffer(44));
    const text = (at, letters) => [...letters].forEach((letter, n) => header.setUint8(at + n, letter.charCodeAt(0)));
    text(0, "RIFF");
    header.setUint32(4, 36 + nBytes, true);
    text(8, "WAVEfmt ");
    header.setUint32(16, 16, true); // bytes of this part
    header.setUint16(20, 1, true); // PCM
    header.setUint16(22, 1, true); // channels
    header.setUint32(24, RATE, true);
    header.setUint32(28, 2 * RATE, true); // bytes a second
    header.setUint16(32, 2, true); // bytes a frame
    header.setUint16(34, 16, true); // bits a sample
    text(36, "data");
    header.setUint32(40, nBytes, true);
    return new Blob([header, ...this.#chunks], { type: "audio/wav" });
  }
}
