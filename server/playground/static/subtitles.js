// Segments → files. One cue a segment. Knows nothing of the page.

const two = (number) => String(number).padStart(2, "0");

// "0:07", "12:34", "1:02:03", for people.
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function stamp(seconds, mark) {
  const ms = Math.round(1000 * seconds);
  const whole = Math.floor(ms / 1000);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map(two);
  return `${parts.join(":")}${mark}${String(ms % 1000).padStart(3, "0")}`;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function cues(segments, mark, write) {
  return segments.map(({ start, end, text }, index) => write(`${stamp(start, mark)} --> ${stamp(end, mark)}`, text.trim(), index + 1));
}

export const toText = (segments) => segments.map(({ text }) => text.trim()).join("\n") + "\n";

export const toSrt = (segments) =>
  cues(segments, ",", (times, text, number) => `${number}\n${times}\n${text.replace(/--+>/g, "->")}\n`).join("\n");

export const toVtt = (segments) => ["WEBVTT\n", ...cues(segments, ".", (times, text) => `${times}\n${escaped(text)}\n`)].join("\n");
