// The page: its two modes, and the model and limits of the server. Text from outside is set as
// text, never as HTML.
import { startFiles } from "./file.js";
import { startLive, stopLive } from "./live.js";

const byId = (id) => document.getElementById(id);
const READS = { av: "face and voice", video: "the face", audio: "the voice" };

function show(mode) {
  for (const name of ["file", "live"]) {
    byId(name).hidden = name !== mode;
    byId(`${name}-tab`).setAttribute("aria-selected", name === mode);
    byId(`${name}-tab`).tabIndex = name === mode ? 0 : -1;
  }
  if (mode !== "live") stopLive();
}

const about = await fetch("about").then((answer) => answer.json()).catch(() => {
  byId("file-error").textContent = "The server did not answer. Is it still running? Then reload the page.";
  byId("file-error").hidden = false;
  throw new Error("no server");
});
byId("synthetic").hidden = !about.synthetic;
byId("window").textContent = (about.window_seconds
  ? `Each prediction uses the last ${about.window_seconds} seconds, and `
  : "Each prediction uses the newest image, and ") +
  `what is shown is the mean over ${about.smooth_seconds} second${about.smooth_seconds === 1 ? "" : "s"}.`;
byId("limits").textContent =
  `At most ${Math.round(about.upload_bytes / 2 ** 20)} MiB and ${about.length_seconds / 60} minutes.`;
byId("model").textContent = `Model: ${about.model}, which reads ${READS[about.modality]}; learned from: ${about.corpus}`;
byId("file-tab").addEventListener("click", () => show("file"));
byId("live-tab").addEventListener("click", () => show("live"));
for (const [name, other] of [["file", "live"], ["live", "file"]]) {
  byId(`${name}-tab`).addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    show(other);
    byId(`${other}-tab`).focus();
  });
}
startFiles(about);
startLive(about);
