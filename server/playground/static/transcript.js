// The text: words coloured by confidence, each a place in the sound. In: segments as they come. Knows no service.

import { clock } from "./subtitles.js";

// Probability below which a word is marked; the page's legend has the same three.
const LEVELS = [
  [0.3, "poor"],
  [0.55, "low"],
  [0.8, "fair"],
];

const percent = (probability) => `${Math.round(100 * probability)} %`;

export class Transcript {
  segments = [];
  #list;
  #region;
  #status;
  #words = []; // { word, start, end, probability, span }, in the order of the text
  #open = null; // the live utterance under way: its segment and its paragraph
  #partial = null;
  #now = null;
  #at = -1; // the word that the keyboard is at
  #onPlay;
  #isPlayable = false;

  constructor(root, { onPlay }) {
    this.#list = root.getElementById("segments");
    this.#region = root.getElementById("transcript");
    this.#status = root.getElementById("status");
    this.#onPlay = onPlay;
    this.#list.onclick = ({ target }) => this.#onClick(target);
    this.#region.onkeydown = (event) => this.#onKey(event);
  }

  clear() {
    this.segments = [];
    this.#words = [];
    this.#open = this.#partial = this.#now = null;
    this.#at = -1;
    this.#list.replaceChildren();
  }

  get text() {
    return this.segments.map(({ text }) => text).join("").trim();
  }

  set isPlayable(isPlayable) {
    this.#isPlayable = isPlayable;
    for (const button of this.#list.querySelectorAll("button.time")) button.disabled = !isPlayable;
  }

  add(segment) {
    this.segments.push(segment);
    this.#write(this.#paragraph(segment), segment);
  }

  // What the service says in the end, where it is not what it has said on the way.
  settle(segments) {
    const isSame = segments.length === this.segments.length && segments.every(({ text }, n) => text === this.segments[n].text);
    if (isSame) {
      this.segments = segments;
      return;
    }
    this.clear();
    segments.forEach((segment) => this.add(segment));
  }

  // Live: text for good, in the paragraph of its utterance.
  addFinal({ text, start, end, words }) {
    this.showPartial("");
    if (!this.#open) {
      const segment = { id: this.segments.length, start, end, text: "", words: [] };
      this.segments.push(segment);
      this.#open = { segment, paragraph: this.#paragraph(segment) };
    }
    const { segment, paragraph } = this.#open;
    segment.text += text;
    segment.end = end ?? segment.end;
    segment.words.push(...words);
    this.#write(paragraph, { text, words });
  }

  // Live: what comes next, as it seems now.
  showPartial(text) {
    this.#partial?.remove();
    this.#partial = null;
    if (!text.trim()) return;
    this.#partial = document.createElement("span");
    this.#partial.className = "partial";
    this.#partial.textContent = text;
    const paragraph = this.#open?.paragraph;
    if (paragraph) paragraph.append(this.#partial);
    else {
      const item = document.createElement("li");
      item.className = "segment partial";
      const body = document.createElement("p");
      body.dir = "auto";
      body.append(this.#partial);
      item.append(document.createElement("span"), body);
      this.#list.append(item);
      this.#partial = item;
    }
  }

  endUtterance() {
    this.#open = null;
  }

  // The word that is being spoken.
  markTime(seconds) {
    const word = this.#words[this.#lastBefore(seconds)];
    const span = word && seconds < word.end + 0.3 ? word.span : null;
    if (span === this.#now) return;
    this.#now?.classList.remove("now");
    span?.classList.add("now");
    this.#now = span;
  }

  #lastBefore(seconds) {
    let [low, high] = [0, this.#words.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#words[middle].start <= seconds) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #paragraph({ start, language }) {
    const time = document.createElement("button");
    time.type = "button";
    time.className = "time";
    time.disabled = !this.#isPlayable;
    time.dataset.start = start;
    time.textContent = clock(start);
    time.setAttribute("aria-label", `Play from ${clock(start)}`);
    const paragraph = document.createElement("p");
    paragraph.dir = "auto";
    if (language) paragraph.lang = language;
    const item = document.createElement("li");
    item.className = "segment";
    item.append(time, paragraph);
    this.#list.append(item);
    return paragraph;
  }

  #write(paragraph, { text, words }) {
    if (!words?.length) {
      paragraph.append(text);
      return;
    }
    for (const word of words) {
      const span = document.createElement("span");
      span.className = `word ${LEVELS.find(([limit]) => word.probability < limit)?.[1] ?? ""}`.trim();
      span.dataset.n = this.#words.length;
      span.textContent = word.word.trim();
      span.title = `${clock(word.start)} · ${percent(word.probability)}`;
      this.#words.push({ ...word, span });
      const space = word.word.startsWith(" ") && paragraph.textContent ? " " : "";
      paragraph.append(space, span);
    }
  }

  #onClick(target) {
    if (target.matches("button.time")) this.#onPlay(Number(target.dataset.start));
    else if (target.matches(".word")) this.#onPlay(this.#words[target.dataset.n].start);
  }

  #onKey(event) {
    if (event.target !== this.#region || !this.#words.length) return;
    const last = this.#words.length - 1;
    const to = { ArrowRight: this.#at + 1, ArrowLeft: this.#at - 1, Home: 0, End: last }[event.key];
    if (to !== undefined) this.#goTo(Math.max(0, Math.min(to, last)));
    else if (event.key === "Enter" && this.#at >= 0) this.#onPlay(this.#words[this.#at].start);
    else return;
    event.preventDefault();
  }

  #goTo(n) {
    this.#words[this.#at]?.span.classList.remove("at");
    this.#at = n;
    const { word, start, probability, span } = this.#words[n];
    span.classList.add("at");
    span.scrollIntoView({ block: "nearest" });
    this.#status.textContent = `${word.trim()}, ${clock(start)}, ${percent(probability)} sure`;
  }
}
