// A file: sent to the server, its answer shown.
import { Bars, percent } from "./bars.js";

const byId = (id) => document.getElementById(id);
const SENSES = { av: "saw and heard", video: "saw", audio: "heard" };
const RESTS_ON = { av: "face and voice", video: "the face alone", audio: "the voice alone" };
let bars, about;

export function startFiles(facts) {
  about = facts;
  bars = new Bars(byId("result-bars"), about.labels);
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

function say({ status = "", error = "", result = false }) {
  byId("file-status").textContent = status;
  byId("file-status").hidden = !status;
  byId("file-error").textContent = error;
  byId("file-error").hidden = !error;
  byId("result").hidden = !result;
  byId("choose").disabled = Boolean(status);
}

async function send(file) {
  if (byId("choose").disabled) return; // one at a time
  if (file.size > about.upload_bytes) {
    say({ error: `${file.name} is larger than ${Math.round(about.upload_bytes / 2 ** 20)} MiB.` });
    return;
  }
  say({ status: `Looking at ${file.name} …` });
  try {
    const answer = await fetch("classify", {
      method: "POST",
      body: file,
      headers: { "X-File-Name": encodeURIComponent(file.name) },
    });
    const found = await answer.json();
    if (!answer.ok) {
      say({ error: found.error });
      return;
    }
    show(found);
    say({ result: true });
  } catch {
    say({ error: "The server did not answer. Is it still running? Then try again." });
  }
}

function show({ prediction, pictures }) {
  byId("result-name").textContent = prediction.clip;
  byId("result-label").textContent =
    `${prediction.label}, ${percent(prediction.probabilities[prediction.label])}`;
  bars.show(prediction.probabilities);
  const frames = prediction.modality === "audio" ? "" :
    ` A face was found on ${prediction.faces_found} of ${prediction.frames_sampled} frames.`;
  byId("result-evidence").textContent = `From ${RESTS_ON[prediction.modality]}.${frames}`;
  byId("result-warnings").replaceChildren(
    ...prediction.warnings.map((warning) => {
      const item = document.createElement("li");
      item.textContent = warning;
      return item;
    }),
  );
  byId("senses").textContent = SENSES[prediction.modality];
  for (const name of ["faces", "spectrogram"]) {
    byId(`${name}-figure`).hidden = !(name in pictures);
    if (name in pictures) byId(name).src = pictures[name];
  }
  const save = byId("save");
  URL.revokeObjectURL(save.href);
  const text = JSON.stringify(prediction, null, 2) + "\n";
  save.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  save.download = `${prediction.clip.replace(/\.[^.]*$/, "")}.json`;
}
