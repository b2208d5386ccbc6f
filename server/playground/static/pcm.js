// On the audio thread: whatever rate the microphone has → 16 kHz, 16 bits, 0.1 s a message. Knows nothing of the page.
//
// A windowed-sinc low-pass, evaluated at the output's times: browsers differ in what an AudioContext of another rate may
// be connected to, so that none is asked for one.

const RATE = 16000;
const N_SAMPLES = 1600; // 0.1 s a message
const N_SIDE = 16; // zero crossings on each side
const EDGE = 0.92; // of the lower rate's half: where the filter begins to close

class Pcm extends AudioWorkletProcessor {
  #step = sampleRate / RATE;
  #cutoff = EDGE * Math.min(1, RATE / sampleRate);
  #reach = Math.ceil(N_SIDE / this.#cutoff);
  #heard = new Float32Array(this.#reach); // silence before the first sample
  #at = this.#reach; // of the next output, in samples of `heard`
  #message = new Int16Array(N_SAMPLES);
  #n = 0;

  process([[samples]]) {
    if (!samples) return true;
    const heard = new Float32Array(this.#heard.length + samples.length);
    heard.set(this.#heard);
    heard.set(samples, this.#heard.length);
    while (this.#at + this.#reach < heard.length) {
      this.#put(this.#sampleAt(heard));
      this.#at += this.#step;
    }
    const kept = Math.max(0, Math.floor(this.#at) - this.#reach);
    this.#heard = heard.subarray(kept);
    this.#at -= kept;
    return true;
  }

  #sampleAt(heard) {
    const first = Math.ceil(this.#at - this.#reach);
    const last = Math.floor(this.#at + this.#reach);
    let [sum, weights] = [0, 0];
    for (let n = first; n <= last; n++) {
      const distance = n - this.#at;
      const x = Math.PI * this.#cutoff * distance;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / (this.#reach + 1)); // Hann
      const weight = window * (x === 0 ? 1 : Math.sin(x) / x);
      sum += weight * heard[n];
      weights += weight;
    }
    return sum / weights;
  }

  #put(sample) {
    this.#message[this.#n++] = 32767 * Math.max(-1, Math.min(1, sample));
    if (this.#n < N_SAMPLES) return;
    this.port.postMessage(this.#message, [this.#message.buffer]);
    this.#message = new Int16Array(N_SAMPLES);
    this.#n = 0;
  }
}

registerProcessor("pcm", Pcm);
