// Live mode: camera frames go to the server as raw grey pixels, one at a time.
import { Bars, mostProbable, percent } from "./bars.js";
import { KeptFaces } from "./kept_faces.js";

const byId = (id) => document.getElementById(id);
const HEIGHT = 360; // that of CREMA-D's videos
const HEADER_BYTES = 4; // width, height: see CameraImage
const SHOWN = 20; // frames over which latency and frame rate are measured
let bars, unitBars, kept, lead, stream, socket, sentAt, answeredAt, isNew;
let starts = 0; // counts starts and stops, to detect a stop while the camera opens

export function startLive(about) {
  bars = new Bars(byId("live-bars"), about.labels);
  unitBars = new Bars(byId("live-unit-bars"), about.units);
  kept = new KeptFaces();
  lead = about.window_seconds ? "Most like acted" : "Most like"; // of a clip, or of one image
  byId("start").addEventListener("click", () => (stream ? stopLive() : start()));
  if (!about.camera) {
    byId("start").disabled = true;
    complain("This model does not support video alone. Start the page with one that does: " +
      "--modality video, or av trained with modality dropout.");
  } else if (!navigator.mediaDevices) {
    byId("start").disabled = true;
    complain("Browsers open cameras only for pages of this machine (127.0.0.1) or over https.");
  }
}

export function stopLive() {
  starts++;
  socket?.close();
  stream?.getTracks().forEach((track) => track.stop());
  stream = socket = undefined;
  const overlay = byId("overlay");
  overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height);
  byId("video").srcObject = null;
  byId("stage-empty").hidden = false;
  byId("start").textContent = "Start the camera";
  headline("–");
  bars.show(null);
  unitBars.showEach(null);
  kept.forget();
  byId("latency").textContent = byId("rate").textContent = "–";
}

function complain(text) {
  byId("live-error").textContent = text;
  byId("live-error").hidden = !text;
}

function end(reason) {
  stopLive();
  complain(reason);
}

const headline = (text) => (byId("live-headline").textContent = text);

async function start() {
  complain("");
  byId("start").disabled = true;
  const ourStart = ++starts;
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
    });
  } catch (error) {
    complain(`The camera cannot be opened: ${error.message}`);
    return;
  } finally {
    byId("start").disabled = false;
  }
  if (ourStart !== starts) { // stopped meanwhile
    opened.getTracks().forEach((track) => track.stop());
    return;
  }
  stream = opened;
  for (const track of stream.getTracks()) {
    track.onended = () => ourStart === starts && end("The camera was disconnected.");
  }
  const video = byId("video");
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    if (ourStart === starts) end(`The camera video cannot be shown: ${error.message}`);
    return;
  }
  if (ourStart !== starts) return;
  byId("stage-empty").hidden = true;
  byId("start").textContent = "Stop";
  headline("Waiting …");
  answeredAt = [];
  sentAt = 0;
  const ours = (socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/live`));
  ours.onmessage = (event) => ours === socket && show(JSON.parse(event.data));
  ours.onopen = () => onNextFrame(video, ours);
  ours.onclose = (event) => {
    if (ours !== socket) return; // stopped by the user
    stopLive();
    complain(`The server ended the connection${event.reason ? `: ${event.reason}` : ""}.`);
  };
}

// Call back at each new frame, or at each repaint in browsers that cannot tell.
const nextFrame = (video, callback) =>
  video.requestVideoFrameCallback
    ? video.requestVideoFrameCallback(callback)
    : requestAnimationFrame(callback);

function onNextFrame(video, ours) {
  if (ours !== socket || ours.readyState !== WebSocket.OPEN) return;
  isNew = true;
  sendNext();
  nextFrame(video, () => onNextFrame(video, ours));
}

// Send the newest frame, unless it was sent already or another awaits its answer.
function sendNext() {
  const video = byId("video");
  if (sentAt || !isNew || !video.videoWidth) return;
  sentAt = performance.now();
  isNew = false;
  socket.send(frameMessage(video));
}

const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

// The current frame in grey, after its header.
function frameMessage(video) {
  const height = Math.min(HEIGHT, video.videoHeight);
  const width = Math.round((video.videoWidth * height) / video.videoHeight);
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
    Object.assign(byId("overlay"), { width, height });
  }
  context.drawImage(video, 0, 0, width, height);
  const colours = context.getImageData(0, 0, width, height).data;
  const message = new Uint8Array(HEADER_BYTES + width * height);
  const header = new DataView(message.buffer);
  header.setUint16(0, width, true);
  header.setUint16(2, height, true);
  for (let from = 0, to = HEADER_BYTES; to < message.length; from += 4, to++) {
    message[to] = (77 * colours[from] + 150 * colours[from + 1] + 29 * colours[from + 2]) >> 8;
  }
  return message;
}

function show({ faces, filled }) {
  const now = performance.now();
  answeredAt.push({ at: now, latency: now - sentAt });
  if (answeredAt.length > SHOWN) answeredAt.shift();
  if (byId("saving").checked) kept.see(faces, canvas); // which holds the image they were found in
  sentAt = 0;
  sendNext();
  const main = faces[0];
  if (main?.probabilities) {
    headline(`${lead} ${mostProbable(main.probabilities)}`);
  } else if (!main) {
    headline("No face found");
  } else {
    headline(filled < 1 ? `Watching … ${percent(filled)}` : "A face is found too rarely");
  }
  bars.show(main?.probabilities ?? null);
  unitBars.showEach(main?.probabilities ? main.units : null);
  draw(faces);
  const latencies = answeredAt.map(({ latency }) => latency).sort((a, b) => a - b);
  byId("latency").textContent = `${Math.round(latencies[latencies.length >> 1])} ms`;
  const seconds = (now - answeredAt[0].at) / 1000;
  if (seconds > 0) {
    byId("rate").textContent = `${((answeredAt.length - 1) / seconds).toFixed(0)} fps`;
  }
}

// Frame every face, with its label above it or, at the upper edge, within it. The page shows video
// and overlay mirrored, so text is mirrored here.
function draw(faces) {
  const overlay = byId("overlay"), pen = overlay.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.clearRect(0, 0, overlay.width, overlay.height);
  pen.font = "600 15px system-ui, sans-serif";
  pen.textBaseline = "middle";
  faces.forEach(({ box, probabilities }, number) => {
    pen.strokeStyle = pen.fillStyle = style.getPropertyValue("--accent");
    pen.lineWidth = number ? 1.5 : 3;
    pen.strokeRect(box.x, box.y, box.width, box.height);
    if (!probabilities) return;
    const label = mostProbable(probabilities);
    const text = `${label} ${percent(probabilities[label])}`;
    const width = pen.measureText(text).width + 12;
    const right = Math.max(width, Math.min(box.x + box.width + 1, overlay.width));
    const top = Math.max(0, box.y - 22);
    pen.fillRect(right - width, top, width, 22);
    pen.fillStyle = style.getPropertyValue("--accent-ink");
    pen.save();
    pen.translate(right, top);
    pen.scale(-1, 1);
    pen.fillText(text, 6, 12);
    pen.restore();
  });
}
