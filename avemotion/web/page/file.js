// File mode: uploads a file and shows the predictions.
import { Bars, percent } from "./bars.js";
import { clock } from "./clock.js";
import { offer, stem } from "./saving.js";
import { Timeline } from "./timeline.js";

const byId = (id) => document.getElementById(id);
const RESTS_ON = { av: "face and voice", video: "the face alone", audio: "the voice alone" };
const ALONE = { video: "The face", audio: "The voice" };
let bars, unitBars, timeline, about;

export function startFiles(metadata) {
  about = metadata;
  bars = new Bars(byId("result-bars"), about.labels);
  unitBars = new Bars(byId("result-unit-bars"), about.units);
  byId("result-units").hidden = !about.units.length;
  timeline = new Timeline(about);
  const drop = byId("drop"), choose = byId("choose");
  choose.addEventListener("change", () => {
    if (choose.files.length) send(choose.files[0]);
    choose.value = ""; // the same file may be chosen again
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
    });
  }
}

function showStatus({ doing = "", error = "" }) {
  byId("file-doing").textContent = doing;
  byId("file-status").hidden = !doing;
  byId("file-error").textContent = error;
  byId("file-error").hidden = !error;
  byId("choose").disabled = Boolean(doing);
}

async function send(file) {
  if (byId("choose").disabled) return; // one at a time
  for (const id of ["result", "timeline", "file-progress", "stop"]) byId(id).hidden = true;
  if (file.size > about.upload_bytes) {
    showStatus({ error: `${file.name} is larger than ${Math.round(about.upload_bytes / 2 ** 20)} MiB.` });
    return;
  }
  showStatus({ doing: `Reading ${file.name} …` });
  let error = "";
  const leaving = new AbortController();
  byId("stop").onclick = () => leaving.abort();
  byId("stop").hidden = false;
  timeline.clear();
  try {
    const answer = await fetch("classify", {
      method: "POST",
      body: file,
      headers: { "X-File-Name": encodeURIComponent(file.name) },
      signal: leaving.signal,
    });
    if (!answer.ok) {
      error = (await answer.json()).error;
    } else {
      for await (const part of lines(answer.body)) error = take(part, file) ?? error;
    }
  } catch {
    error = leaving.signal.aborted
      ? byId("timeline").hidden ? "Stopped." : "Stopped. The predictions until then are below."
      : "The server did not answer. Is it still running? Then try again.";
  }
  timeline.end();
  showStatus({ error });
}

// The JSON lines of a response, as they come.
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

// Show a part of an answer; return its error message, if any.
function take(part, file) {
  const { name } = file;
  if (part.error) return part.error;
  if (part.timeline) {
    timeline.begin(file, part);
    for (const id of ["timeline", "file-progress", "stop"]) byId(id).hidden = false;
    byId("file-progress").value = 0;
  } else if (part.row) {
    timeline.add(part);
    const { seconds, whole } = timeline;
    byId("file-progress").value = seconds / whole;
    byId("file-doing").textContent = seconds < whole
      ? `Reading ${name}: ${clock(seconds)} of ${clock(whole)}`
      : `Reading ${name}: done …`;
  } else {
    show(part);
    byId("result").hidden = false;
  }
}

function most(probabilities) {
  const [label, value] = Object.entries(probabilities).reduce((a, b) => (b[1] > a[1] ? b : a));
  return `${label}, ${percent(value)}`;
}

function furtherFaces(number, isLong, isStill) {
  const what = number === 1 ? "One more face was" : `${number} more faces were`;
  const where = isLong ? " at once in a part of the video" : isStill ? " in the image" : " in the video";
  return `${what} found${where}. The prediction is for the largest and most central one` +
    `${isLong ? " of each moment" : ""}; for all of them: avemotion classify --face all`;
}

function reliabilityText(known) {
  if (!known) return "";
  return known.expected_accuracy === null
    ? `How often answers from this are right was not measured: ${known.measured_on}.`
    : `Answers from this were right in ${Math.round(100 * known.expected_accuracy)} of 100, each emotion counting the same, measured on ${known.measured_on}` +
      `${known.condition ? `; ${known.condition}` : ""}.`;
}

function show({ prediction, images, further_faces: further }) {
  const isStill = prediction.frames_sampled === 1;
  const isLong = !byId("timeline").hidden;
  byId("result-whole").hidden = !isLong;
  byId("result-name").hidden = isLong; // shown above the timeline
  byId("result-name").textContent = prediction.clip;
  byId("result-lead").textContent =
    isStill ? "Most like" : "Most like acted";
  byId("result-label").textContent = most(prediction.probabilities);
  bars.show(prediction.probabilities);
  unitBars.showEach(prediction.units);
  const frames = prediction.modality === "audio" || isStill ? "" :
    ` A face was found in ${prediction.faces_found} of ${prediction.frames_sampled} frames.`;
  byId("result-evidence").textContent =
    `From ${RESTS_ON[prediction.modality]}${isStill ? " of one image" : ""}.${frames}`;
  byId("result-reliability").textContent = reliabilityText(prediction.reliability);
  byId("result-parts").textContent = Object.entries(prediction.parts)
    .map(([modality, part]) => `${ALONE[modality]} alone: ${most(part)}.`).join(" ");
  const strongest = prediction.strongest_windows;
  byId("result-strongest").textContent = strongest.length
    ? "Surest moments: " + strongest.map(({ start_seconds: start, end_seconds: end, label, probability }) =>
      `${clock(start)} to ${clock(Math.ceil(end))} ${label} ${percent(probability)}`).join("; ") + "."
    : "";
  byId("result-further").textContent = further ? furtherFaces(further, isLong, isStill) : "";
  byId("result-warnings").replaceChildren(
    ...prediction.warnings.map((warning) => {
      const item = document.createElement("li");
      item.textContent = warning;
      return item;
    }),
  );
  for (const name of ["faces", "spectrogram"]) {
    byId(`${name}-figure`).hidden = !(name in images);
    if (name in images) byId(name).src = images[name];
  }
  byId("seen").hidden = !Object.keys(images).length;
  byId("faces-figure").classList.toggle("one", isStill);
  byId("faces-caption").textContent = isStill
    ? "The face of the image, as the model reads it"
    : `The face in 20 evenly spaced frames${isLong ? " of the surest moment" : ""}, as the model reads it`;
  const text = JSON.stringify(prediction, null, 2) + "\n";
  offer(byId("save"), text, "application/json", `${stem(prediction.clip)}.json`);
}
