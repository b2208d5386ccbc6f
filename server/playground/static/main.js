// The page: what a visitor does → the service → the text. Everything that the page remembers at a time is `session`.

import { explained, languageName, reasonFor } from "./messages.js";
import { Microphone } from "./microphone.js";
import { Player, lengthOf } from "./player.js";
import * as recordings from "./recordings.js";
import * as service from "./service.js";
import { clock, toSrt, toText, toVtt } from "./subtitles.js";
import { Transcript } from "./transcript.js";

const LONG_S = 60; // from this length on, and where it is not known from this size on, a recording is sent as a job
const LONG_BYTES = 2 << 20;
const ASK_AGAIN_MS = { ready: 30_000, loading: 1_000, away: 3_000 };
const SETTINGS = ["language", "task", "model", "confidence"];
const MIME = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };

const at = (id) => document.getElementById(id);
const show = (id, isShown) => (at(id).hidden = !isShown);

const player = new Player(document, {
  onTime: (seconds) => transcript.markTime(seconds),
  onUnplayable: () => {
    transcript.isPlayable = false;
    note("This browser cannot play the recording; its text is not affected.");
  },
});
const transcript = new Transcript(document, { onPlay: (start) => player.playFrom(start) });

let session = null; // { name, controller, isBusy, job?, live?, body?, again? }
let models = [];

// ---- the service

async function watchService() {
  let state = "away";
  try {
    const now = await service.models();
    const [main] = now;
    state = main.state === "ready" ? "ready" : "loading";
    at("service-text").textContent =
      { ready: `${main.name} is ready`, loading: `Loading ${main.name} …`, load_failed: `${main.name} cannot be loaded` }[main.state] ?? main.name;
    if (JSON.stringify(now) !== JSON.stringify(models)) {
      models = now;
      showModels();
    }
  } catch (error) {
    at("service-text").textContent = error.status === 401 ? "A key is needed" : "No answer";
    if (error.status === 401) {
      await askForKey();
      watchService();
      return;
    }
  }
  at("service").dataset.state = state;
  setTimeout(watchService, ASK_AGAIN_MS[state]);
}

function showModels() {
  const options = models.map(({ name, state }) => {
    const option = new Option(state === "unloaded" ? `${name} (loaded when asked for)` : name, name);
    option.defaultSelected = name === (localStorage.getItem("auricle.model") ?? models[0].name);
    return option;
  });
  const chosen = at("model").value;
  at("model").replaceChildren(...options);
  if (models.some(({ name }) => name === chosen)) at("model").value = chosen;
  showLanguages();
}

function showLanguages() {
  const chosen = at("language").value || localStorage.getItem("auricle.language") || "";
  const known = models.find(({ name }) => name === at("model").value)?.languages ?? [];
  const named = known.map((code) => new Option(languageName(code), code)).sort((a, b) => a.text.localeCompare(b.text));
  at("language").replaceChildren(new Option("Detect it", ""), ...named);
  at("language").value = known.includes(chosen) ? chosen : "";
  const isEnglishOnly = known.length === 1;
  at("task").disabled = isEnglishOnly;
  if (isEnglishOnly) at("task").value = "transcribe";
}

function askForKey() {
  const dialog = at("key");
  at("key-text").textContent = sessionStorage.getItem("auricle.key") ? "The key is not valid, or not any more." : "Its operator has one for you.";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (at("key-value").value) service.useKey(at("key-value").value.trim());
      at("key-value").value = "";
      resolve();
    }, { once: true });
  });
}

// ---- what the visitor sees

function note(text) {
  at("player-note").textContent = text;
  show("player-note", Boolean(text));
}

function say(text) {
  at("status").textContent = text; // for screen readers
}

function showProgress(text, share = null) {
  show("progress", true);
  at("progress-text").textContent = text;
  if (share === null) at("progress-bar").removeAttribute("value");
  else at("progress-bar").value = Math.min(1, share);
  const percent = share === null ? "" : `${Math.floor(100 * share)} % · `;
  document.title = `${percent}${session.name} · Auricle`;
}

function begin(name) {
  closeError();
  session?.controller.abort();
  session = { name, controller: new AbortController(), isBusy: true };
  transcript.clear();
  transcript.isPlayable = false;
  player.clear();
  note("");
  at("name").textContent = name;
  at("facts").textContent = "";
  for (const id of ["ask", "recent", "again", "tools", "suppressed", "warnings", "empty", "progress"]) show(id, false);
  for (const id of ["result", "stop"]) show(id, true);
  document.title = `${name} · Auricle`;
  at("name").focus();
  return session;
}

function end() {
  session.isBusy = false;
  show("stop", false);
  show("again", true);
  show("progress", false);
  show("tools", transcript.segments.length > 0);
  document.title = `${session.name} · Auricle`;
}

function showStart() {
  session?.controller.abort();
  session = null;
  player.clear();
  transcript.clear();
  history.replaceState(null, "", location.pathname);
  document.title = "Auricle";
  show("result", false);
  show("ask", true);
  showRecent();
}

function showError(error, again = null) {
  if (error.name === "AbortError") return;
  if (!("status" in error) && !(error instanceof DOMException)) throw error;
  if (error.status === 401) {
    askForKey().then(() => again?.());
    return;
  }
  const { title, text, hint, mayPass } = explained(error);
  at("error-title").textContent = title;
  at("error-text").textContent = text;
  at("error-hint").textContent = hint;
  at("error-retry").onclick = () => {
    closeError();
    again();
  };
  show("error-retry", mayPass && again !== null);
  show("error", true);
  at("error").scrollIntoView({ block: "nearest" });
}

const closeError = () => show("error", false);

// A session that has failed: what there is of its text stays; without any the visitor is where they began.
function fail(error, again) {
  if (error.name === "AbortError") return;
  end();
  if (!transcript.segments.length && !session.live?.seconds) showStart();
  showError(error, again);
}

function showBody(body) {
  session.body = body;
  transcript.settle(body.segments);
  const probability = body.language_probs?.[body.language];
  const facts = [
    body.language && `${languageName(body.language)}${probability ? ` (${Math.round(100 * probability)} %)` : ""}`,
    body.task === "translate" && "translated into English",
    clock(body.duration),
    body.model,
    body.timing?.rtfx && `${Math.round(body.timing.rtfx)} × real time`,
  ];
  at("facts").textContent = facts.filter(Boolean).join(" · ");
  const { suppressed = [], warnings = [] } = body;
  show("suppressed", suppressed.length > 0);
  at("suppressed-title").textContent = `Left out: ${suppressed.length} passage${suppressed.length > 1 ? "s" : ""}`;
  at("suppressed-list").replaceChildren(...suppressed.map(suppressedItem));
  show("warnings", warnings.length > 0);
  at("warnings").replaceChildren(...warnings.map((text) => Object.assign(document.createElement("li"), { textContent: `Note: ${text}.` })));
  showEmpty(body.duration);
  say(transcript.segments.length ? "The text is complete." : "No speech was found.");
}

function showEmpty(duration) {
  const isEmpty = !transcript.segments.length;
  show("empty", isEmpty);
  at("empty").textContent = isEmpty ? `No speech was found in ${clock(duration)} of sound.` : "";
}

function suppressedItem({ start, end: until, text, reason }) {
  const item = document.createElement("li");
  const quoted = document.createElement("q");
  quoted.textContent = text;
  item.append(`${clock(start)} to ${clock(until)}: `, ...(text ? [quoted, ` – ${reasonFor(reason)}`] : [reasonFor(reason)]));
  return item;
}

function showRecent() {
  const entries = recordings.list();
  show("recent", entries.length > 0);
  at("recent-list").replaceChildren(...entries.map(({ id, name, at: when }) => {
    const open = Object.assign(document.createElement("button"), { type: "button", className: "open", textContent: name, onclick: () => openJob(id) });
    const date = Object.assign(document.createElement("span"), { className: "when", textContent: new Date(when).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) });
    const drop = Object.assign(document.createElement("button"), { type: "button", textContent: "Delete", onclick: () => deleteJob(id) });
    drop.setAttribute("aria-label", `Delete ${name}`);
    const item = document.createElement("li");
    item.append(open, date, drop);
    return item;
  }));
}

// ---- a file

function formFor(file) {
  const form = new FormData();
  for (const name of ["task", "model", "language"]) if (at(name).value) form.set(name, at(name).value);
  form.set("response_format", "verbose_json");
  form.set("timestamps", "word");
  form.set("file", file); // last: the service knows the fields when the sound comes
  return form;
}

async function openFile(file) {
  const form = formFor(file);
  const mine = begin(file.name);
  showProgress("Sending …");
  player.open(file);
  transcript.isPlayable = player.isPlayable;
  const seconds = await lengthOf(file);
  const isLong = seconds === null ? file.size > LONG_BYTES : seconds > LONG_S;
  const hooks = { signal: mine.controller.signal, onSent: (sent, total) => mine === session && showSent(sent, total, seconds) };
  try {
    if (isLong) await sendJob(file, form, hooks);
    else await sendClip(form, hooks, seconds);
  } catch (error) {
    if (mine === session) fail(error, () => openFile(file));
  }
}

function showSent(sent, total, seconds) {
  if (sent < total) showProgress(`Sending: ${Math.floor((100 * sent) / total)} %`, sent / total);
  else showProgress(seconds ? `Listening to ${clock(seconds)} …` : "Listening …");
}

async function sendClip(form, hooks, seconds) {
  const body = await service.transcribe(form, {
    ...hooks,
    onSegment: (segment) => {
      transcript.add(segment);
      if (seconds) showProgress(`${clock(segment.end)} of ${clock(seconds)}`, segment.end / seconds);
    },
  });
  showBody(body);
  end();
}

// ---- a long recording: a job, which survives a reload

async function sendJob(file, form, hooks) {
  const mine = session;
  const { id } = await service.createJob(form, hooks);
  await recordings.keep(id, file);
  if (mine !== session) return;
  history.replaceState(null, "", `#${id}`);
  await followJob(id);
}

async function openJob(id) {
  const mine = begin(recordings.list().find((entry) => entry.id === id)?.name ?? "Recording");
  history.replaceState(null, "", `#${id}`);
  showProgress("Opening …");
  const file = await recordings.sound(id);
  if (mine !== session) return;
  if (file) player.open(file);
  else note("This browser does not have the sound of this recording.");
  transcript.isPlayable = player.isPlayable;
  try {
    await followJob(id);
  } catch (error) {
    if (mine === session) fail(error, () => openJob(id));
  }
}

async function followJob(id) {
  const mine = session;
  mine.job = id;
  const waiting = setInterval(() => showPlace(mine), 2000);
  showProgress("Waiting for its turn …");
  try {
    const body = await service.followJob(id, {
      signal: mine.controller.signal,
      onSegment: (segment) => transcript.add(segment),
      onProgress: (progress) => showJobProgress(mine, progress),
      onLost: () => showProgress("The connection is lost; the service works on. Trying again …", at("progress-bar").value || null),
    });
    if (mine !== session) return;
    showBody(body);
    end();
  } finally {
    clearInterval(waiting);
  }
}

async function showPlace(mine) {
  if (mine !== session || mine.isUnderWay) return;
  const state = await service.job(mine.job).catch(() => null);
  if (mine !== session || mine.isUnderWay || !state?.queue_position) return;
  const before = state.queue_position - 1;
  showProgress(before ? `Waiting: ${before} before it` : "Waiting: next in line");
}

function showJobProgress(mine, { done_s: done, duration_s: duration, rtfx, eta_s: eta }) {
  if (!duration) return;
  mine.isUnderWay = true;
  const parts = [`${Math.floor((100 * done) / duration)} %`, `${clock(done)} of ${clock(duration)}`];
  if (eta) parts.push(`about ${clock(eta)} left`);
  if (rtfx) parts.push(`${Math.round(rtfx)} × real time`);
  showProgress(parts.join(" · "), done / duration);
}

async function deleteJob(id) {
  try {
    await service.deleteJob(id);
  } catch (error) {
    if (error.status !== 404) {
      showError(error, () => deleteJob(id));
      return;
    }
  }
  await recordings.forget(id);
  showRecent();
}

// ---- speaking

async function speak() {
  const mine = begin("Live");
  mine.live = new Microphone();
  player.openLive();
  showProgress("Waiting for the microphone …");
  let stream = null;
  try {
    await mine.live.start((samples) => {
      stream?.send(samples);
      if (mine === session) player.hear(samples);
    });
  } catch (error) {
    await mine.live.stop();
    if (mine === session) fail(error, speak);
    return;
  }
  const fields = Object.fromEntries(["task", "model", "language"].map((name) => [name, at(name).value]).filter(([, value]) => value));
  mine.controller.signal.addEventListener("abort", () => mine.live.stop());
  await new Promise((resolve) => {
    stream = new service.LiveStream(fields, {
      onEvent: (event) => mine === session && onLiveEvent(event),
      onClose: (error) => {
        if (mine === session) endLive(error);
        resolve();
      },
    });
    mine.finish = async () => {
      showProgress("Writing the rest …");
      await mine.live.stop();
      stream.stop();
    };
    mine.controller.signal.addEventListener("abort", () => stream.stop());
    showProgress("Listening. Speak!");
  });
}

function onLiveEvent(event) {
  if (event.type === "partial") transcript.showPartial(event.text);
  else if (event.type === "final") transcript.addFinal(event);
  else if (event.type === "utterance_ended") transcript.endUtterance();
  else if (event.type === "done") session.done = event;
}

async function endLive(error) {
  const { live, done } = session;
  await live.stop();
  transcript.showPartial("");
  if (live.seconds) player.open(new File([live.wav()], "live.wav", { type: "audio/wav" }));
  else player.clear();
  transcript.isPlayable = player.isPlayable;
  if (error) {
    fail(error, speak);
    return;
  }
  showBody({ task: at("task").value, language: done.language, duration: done.duration, text: done.text, segments: transcript.segments, model: done.model });
  end();
}

// ---- controls

async function stop() {
  if (session.finish) {
    at("stop").hidden = true;
    await session.finish();
    return;
  }
  const { job } = session;
  session.controller.abort();
  if (job) await deleteJob(job);
  showStart();
  say("Stopped.");
}

async function fileIn(format) {
  if (session.job) return (await service.jobResult(session.job, { txt: "text", json: "verbose_json" }[format] ?? format)).blob();
  const { segments } = transcript;
  const content = { txt: toText, srt: toSrt, vtt: toVtt, json: () => JSON.stringify(session.body ?? { text: transcript.text, segments }, null, 2) }[format];
  return new Blob([content(segments)], { type: MIME[format] });
}

async function download(format) {
  try {
    const url = URL.createObjectURL(await fileIn(format));
    const name = session.name.replace(/\.[^.]+$/, "");
    Object.assign(document.createElement("a"), { href: url, download: `${name}.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  } catch (error) {
    showError(error, () => download(format));
  }
}

async function copy() {
  const button = at("copy");
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(transcript.text);
    button.textContent = "Copied";
  } else {
    getSelection().selectAllChildren(at("segments")); // a page that is not over https may not write there itself
    button.textContent = "Selected: press Ctrl+C";
  }
  say(button.textContent);
  setTimeout(() => (button.textContent = "Copy text"), 2000);
}

const theme = () => localStorage.getItem("auricle.theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

function showTheme() {
  document.documentElement.dataset.theme = theme();
  at("theme").textContent = theme() === "dark" ? "Light" : "Dark";
  player.redraw();
}

function showConfidence() {
  const isShown = at("confidence").checked;
  at("result").classList.toggle("shaded", isShown);
  show("legend", isShown);
}

function connectControls() {
  at("file").onchange = ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) openFile(file);
  };
  at("speak").onclick = speak;
  at("stop").onclick = stop;
  at("again").onclick = () => {
    showStart();
    at("main").focus();
  };
  at("copy").onclick = copy;
  for (const button of document.querySelectorAll("[data-format]")) button.onclick = () => download(button.dataset.format);
  at("error-close").onclick = closeError;
  at("theme").onclick = () => {
    localStorage.setItem("auricle.theme", theme() === "dark" ? "light" : "dark");
    showTheme();
  };
  at("model").onchange = showLanguages;
  at("key").oncancel = (event) => event.preventDefault(); // nothing works without
  at("confidence").checked = localStorage.getItem("auricle.confidence") !== "false";
  at("confidence").addEventListener("change", showConfidence);
  for (const name of SETTINGS) {
    at(name).addEventListener("change", ({ target }) => localStorage.setItem(`auricle.${name}`, target.type === "checkbox" ? target.checked : target.value));
  }
  at("task").value = localStorage.getItem("auricle.task") ?? "transcribe";
  connectDrop();
  addEventListener("beforeunload", (event) => {
    if (session?.isBusy && !session.job) event.preventDefault(); // what is not a job would be lost
  });
  addEventListener("hashchange", openFromAddress);
}

function connectDrop() {
  const isFile = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    at("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? at("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    at("drop").classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file && !session?.isBusy) openFile(file);
  });
}

function openFromAddress() {
  const id = location.hash.slice(1);
  if (/^job_\w+$/.test(id) && session?.job !== id) openJob(id);
}

connectControls();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();
showConfidence();
showRecent();
watchService();
openFromAddress();
