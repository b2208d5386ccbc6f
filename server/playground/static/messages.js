// What the page says to people about errors, languages and what was left out. In: codes. Out: words.

// Code, or status, → what happened, and what to do next. The service's own message stands between them.
const ERRORS = {
  unreachable: ["No answer", "Is the service running, and are you online? Try again; nothing is lost."],
  broken_off: ["The connection broke off", "What was written until then is below. Try again."],
  loading: ["The model is still being loaded", "Try again in a moment."],
  load_failed: ["The model cannot be loaded", "The service's log says why."],
  queue_full: ["Too much is waiting at the moment", "Try again in a moment."],
  rate_limit_exceeded: ["Too many requests with this key", "Wait a little and try again."],
  too_many_streams: ["Too many people are speaking", "Try again in a moment, or send a recording."],
  overloaded: ["The service cannot keep up", "Try again in a moment, or send a recording."],
  empty_file: ["The file is empty", "Choose another one."],
  file_too_large: ["The file is too large", "Cut it, or send its sound alone as mp3 or opus."],
  audio_too_long: ["The recording is too long", "Cut it into parts."],
  audio_too_short: ["The recording is too short", "There is nothing to hear in it."],
  decoded_audio_too_large: ["The recording is too long", "Cut it into parts."],
  decoding_timeout: ["The recording takes too long to decode", "Save it as wav or mp3 and choose that file."],
  decoding_memory: ["The recording takes too much memory to decode", "Save it as wav or mp3 and choose that file."],
  unsupported_media: ["This is no recording that can be read", "Choose an audio or video file."],
  undecodable_audio: ["The recording is damaged", "Does it play elsewhere? Then save it anew there and choose that file."],
  unsupported_language: ["The model does not know this language", "Choose another language or another model."],
  model_not_found: ["There is no such model any more", "Choose another one."],
  job_not_found: ["This recording is not known here", "It may have been deleted, or belong to another service."],
  job_expired: ["The text has been deleted", "Results are kept for a limited time. Send the recording again."],
  job_cancelled: ["It was stopped", "Send the recording again to have its text."],
  upload_timeout: ["Sending took too long", "Try again, over a faster connection if there is one."],
  stream_idle: ["No sound came any more", "Press Speak to go on."],
  shutting_down: ["The service is being restarted", "Try again in a moment."],
  recording_kills_worker: ["The service cannot work on this recording", "Tell its operator the number below."],
  insufficient_storage: ["The service has no room for the recording", "Its operator has to free some."],
  deadline_exceeded: ["It took too long", "Try again when less is going on, or send a shorter recording."],
  worker_died: ["Something went wrong in the service", "Try again."],
  internal_error: ["Something went wrong in the service", "Try again. If it happens again, tell its operator the number below."],
  NotAllowedError: ["The microphone is not allowed", "Allow it for this page, beside the address, and try again."],
  NotFoundError: ["There is no microphone", "Connect one and try again, or choose a file."],
  NotReadableError: ["The microphone cannot be used", "Another program may have it. Close that and try again."],
  SecurityError: ["The microphone is not available here", "Browsers give it to pages over https, or on this machine, only."],
};
const BY_STATUS = {
  403: ["This is not allowed", ""],
  413: ERRORS.file_too_large,
  429: ERRORS.queue_full,
  502: ERRORS.unreachable,
  503: ["The service is not ready", "Try again in a moment."],
  504: ERRORS.deadline_exceeded,
};
const MAY_PASS = new Set([0, 408, 429, 500, 502, 503, 504, 507]);
const BY_ITSELF = new Set(["worker_died", "broken_off", "too_many_streams", "overloaded", "internal_error", "queue_full"]);

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// { title, text, hint, mayPass } of a ServiceError, or of what the browser throws.
export function explained(error) {
  const known = ERRORS[error.code] ?? ERRORS[error.name] ?? BY_STATUS[error.status];
  const [title, next] = known ?? ["That did not work", ""];
  const wait = error.retryAfterS ? ` The service asks for ${Math.ceil(error.retryAfterS)} s of patience.` : "";
  const mayPass = error instanceof DOMException || MAY_PASS.has(error.status) || BY_ITSELF.has(error.code);
  const number = mayPass && error.requestId ? ` (request ${error.requestId})` : "";
  const text = error instanceof DOMException ? "" : sentence(error.message);
  return { title, text, hint: `${next}${wait}${number}`.trim(), mayPass };
}

const REASONS = {
  loop: "it repeats itself",
  low_probability: "the model was guessing",
  no_speech: "the model says that nobody speaks there",
  no_voice: "no voice was found there",
  too_dense: "nobody can say so much in that time",
  phantom_phrase: "models write it where nothing is said",
  no_time: "it had no length",
  lost_speech: "somebody speaks, and no text came of it",
};

export const reasonFor = (reason) => REASONS[reason] ?? reason;

const NAMES = new Intl.DisplayNames(["en"], { type: "language" });

export function languageName(code) {
  try {
    return NAMES.of(code);
  } catch {
    return code;
  }
}
