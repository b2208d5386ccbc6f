// The sound: play, seek, and a waveform to look at. In: a file, or levels as they are heard. Knows no text.

import { clock } from "./subtitles.js";

const N_LEVELS = 1200;
const PICTURE_RATE = 8000; // Hz, for the picture alone
const MAX_PICTURE_S = 7200; // longer recordings would not fit into memory, decoded
const SEEK_S = 5;
const BAR_PX = 3;
const LIVE_S = 20; // of a live picture

export class Player {
  #audio;
  #canvas;
  #box;
  #button;
  #clock;
  #levels = null;
  #heard = null;
  #duration = 0;
  #url = null;
  #n = 0;

  // `onTime` hears where the sound is, `onUnplayable` that the browser cannot play the file.
  constructor(root, { onTime, onUnplayable }) {
    this.#box = root.getElementById("player");
    this.#audio = root.getElementById("audio");
    this.#canvas = root.getElementById("waveform");
    this.#button = root.getElementById("play");
    this.#clock = root.getElementById("clock");
    this.#button.onclick = () => this.toggle();
    this.#canvas.onclick = (event) => this.seek((event.offsetX / this.#canvas.clientWidth) * this.#duration);
    this.#canvas.onkeydown = (event) => this.#onKey(event);
    const audio = this.#audio;
    audio.onloadedmetadata = () => this.#setDuration(audio.duration);
    audio.ondurationchange = audio.onloadedmetadata;
    audio.ontimeupdate = () => {
      this.#show();
      onTime(audio.currentTime);
    };
    audio.onplay = audio.onpause = () => {
      this.#button.classList.toggle("playing", !audio.paused);
      this.#button.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
      this.#follow(onTime);
    };
    audio.onerror = () => {
      if (!this.#url) return;
      this.clear();
      onUnplayable();
    };
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  get isPlayable() {
    return this.#url !== null;
  }

  open(file) {
    this.clear();
    this.#box.hidden = false;
    this.#url = URL.createObjectURL(file);
    this.#audio.src = this.#url;
    this.#picture(file, this.#n);
  }

  clear() {
    this.#n++;
    this.#audio.pause();
    const url = this.#url;
    this.#url = this.#levels = this.#heard = null;
    this.#duration = 0;
    this.#audio.removeAttribute("src");
    if (url) URL.revokeObjectURL(url);
    this.#box.classList.remove("live");
    this.#box.hidden = true;
  }

  // A picture of what is heard now: `hear` takes samples of 16 bits.
  openLive() {
    this.clear();
    this.#heard = [];
    this.#box.classList.add("live");
    this.#box.hidden = false;
    this.#draw();
  }

  hear(samples) {
    if (!this.#heard) return;
    const half = samples.length / 2;
    for (const part of [samples.subarray(0, half), samples.subarray(half)]) {
      this.#heard.push(part.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) / 32768);
    }
    this.#draw();
  }

  toggle() {
    if (this.#audio.paused) this.#audio.play();
    else this.#audio.pause();
  }

  seek(seconds) {
    if (!this.isPlayable) return;
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.#duration || seconds));
  }

  playFrom(seconds) {
    if (!this.isPlayable) return;
    this.seek(seconds);
    this.#audio.play();
  }

  redraw() {
    this.#draw();
  }

  // Between two `timeupdate`, which come four times a second: words are shorter.
  #follow(onTime) {
    if (this.#audio.paused) return;
    onTime(this.#audio.currentTime);
    this.#show();
    requestAnimationFrame(() => this.#follow(onTime));
  }

  #onKey(event) {
    const to = { ArrowLeft: this.#audio.currentTime - SEEK_S, ArrowRight: this.#audio.currentTime + SEEK_S, Home: 0, End: this.#duration }[event.key];
    if (to !== undefined) this.seek(to);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
  }

  #setDuration(seconds) {
    if (!Number.isFinite(seconds)) return;
    this.#duration = seconds;
    this.#canvas.setAttribute("aria-valuemax", seconds.toFixed(1));
    this.#show();
  }

  #show() {
    const { currentTime } = this.#audio;
    this.#clock.textContent = `${clock(currentTime)} / ${clock(this.#duration)}`;
    this.#canvas.setAttribute("aria-valuenow", currentTime.toFixed(1));
    this.#canvas.setAttribute("aria-valuetext", `${clock(currentTime)} of ${clock(this.#duration)}`);
    this.#draw();
  }

  async #picture(file, n) {
    const duration = await lengthOf(file);
    if (duration === null || duration > MAX_PICTURE_S) return;
    try {
      const decoder = new OfflineAudioContext(1, 1, PICTURE_RATE);
      const sound = await decoder.decodeAudioData(await file.arrayBuffer());
      if (n !== this.#n) return;
      this.#levels = levelsOf(sound.getChannelData(0));
      this.#setDuration(sound.duration);
      this.#draw();
    } catch {
      // No picture: the browser cannot decode the file, and `onerror` has told so where it cannot play it either.
    }
  }

  #draw() {
    const canvas = this.#canvas;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || this.#box.hidden) return;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale)) [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const brush = canvas.getContext("2d");
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const [soft, strong] = [style.fill, style.stroke]; // set for this, by the style sheet
    const n = Math.floor(width / BAR_PX);
    const done = this.#duration ? this.#audio.currentTime / this.#duration : 0;
    for (let bar = 0; bar < n; bar++) {
      const level = this.#levelAt(bar, n);
      const size = Math.max(2, level * (height - 4));
      brush.fillStyle = this.#heard || bar / n < done ? strong : soft;
      brush.fillRect(bar * BAR_PX, (height - size) / 2, BAR_PX - 1, size);
    }
  }

  #levelAt(bar, n) {
    if (this.#heard) {
      const shown = this.#heard.slice(-LIVE_S * 20);
      const at = shown.length - Math.round(((n - bar) / n) * LIVE_S * 20);
      return at < 0 ? 0 : Math.sqrt(shown[at] ?? 0);
    }
    if (!this.#levels) return 0;
    const first = Math.floor((bar / n) * N_LEVELS);
    const last = Math.max(first + 1, Math.floor(((bar + 1) / n) * N_LEVELS));
    return this.#levels.subarray(first, last).reduce((sum, level) => sum + level, 0) / (last - first);
  }
}

// Loudness (RMS) of so many parts, of the loudest one's.
function levelsOf(samples) {
  const levels = new Float32Array(N_LEVELS);
  const step = samples.length / N_LEVELS;
  for (let n = 0; n < N_LEVELS; n++) {
    const part = samples.subarray(Math.floor(n * step), Math.max(Math.floor((n + 1) * step), Math.floor(n * step) + 1));
    levels[n] = Math.sqrt(part.reduce((sum, sample) => sum + sample * sample, 0) / part.length);
  }
  const most = levels.reduce((top, level) => Math.max(top, level), 0.001);
  return levels.map((level) => (level / most) ** 0.6); // as ears have it, about
}

// Seconds, from the file's header; null where the browser cannot tell.
export function lengthOf(file) {
  return new Promise((resolve) => {
    const audio = new Audio();
    const url = URL.createObjectURL(file);
    const tell = (seconds) => {
      URL.revokeObjectURL(url);
      resolve(Number.isFinite(seconds) ? seconds : null);
    };
    audio.onloadedmetadata = () => tell(audio.duration);
    audio.onerror = () => tell(NaN);
    audio.preload = "metadata";
    audio.src = url;
  });
}
