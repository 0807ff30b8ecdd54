// Timeline of a long video: one row per emotion, faces above, gaps with their reason.
import { percent } from "./bars.js";
import { clock } from "./clock.js";
import { Player } from "./player.js";
import { offer, stem } from "./saving.js";

const byId = (id) => document.getElementById(id);
const RESTS_ON = { av: "face and voice", video: "the face alone", audio: "the voice alone" };
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]; // seconds
const TICK_PIXELS = 56, FACE_PIXELS = 60, AXIS_PIXELS = 24;
const NARROW = 520; // pixels: names stand above their rows
const REDRAW_MILLISECONDS = 250; // while rows come
const LISTED = 8; // gaps

export class Timeline {
  constructor(about) {
    Object.assign(this, { labels: about.labels, modality: about.modality });
    this.clear();
    this.player = new Player((seconds, playing) => this.#follow(seconds, playing));
    const plot = byId("plot");
    plot.addEventListener("pointermove", (event) => this.#point(event));
    plot.addEventListener("pointerdown", (event) => {
      this.#point(event);
      this.player.seek(this.#seconds(event));
    });
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.columns.length) return;
      event.preventDefault();
      this.#select(Math.min(Math.max((this.selected ?? -1) + step, 0), this.columns.length - 1));
      this.player.seek(this.columns[this.selected].centre);
    });
    new ResizeObserver(() => this.#draw()).observe(byId("timeline"));
  }

  clear() {
    // A column is the time around a window's centre, up to the next one's.
    Object.assign(this, { name: "", columns: [], faces: [], cells: [], seconds: 0, whole: 0 });
    this.selected = this.played = undefined;
    this.player?.clear();
    byId("timeline-save").hidden = true;
    byId("readout").textContent = "Point at the plot, or tap it, to read the values.";
  }

  begin(file, { timeline }) {
    this.name = file.name;
    this.player.load(file);
    this.whole = timeline.seconds;
    this.cells.push(timeline.cells);
    byId("timeline-name").textContent = file.name;
    byId("windows").textContent = `smoothed over ${timeline.smooth_seconds} s, in windows of ` +
      `${timeline.window_seconds} s every ${timeline.hop_seconds} s`;
    this.#draw();
  }

  add({ row, cells, face }) {
    const centre = (row.start_seconds + row.end_seconds) / 2;
    const last = this.columns.at(-1);
    if (last) last.end = (last.centre + centre) / 2;
    this.columns.push({ row, centre, start: last?.end ?? 0, end: row.end_seconds });
    this.cells.push(cells);
    if (face) this.faces.push({ centre, face });
    this.seconds = row.end_seconds;
    this.waiting ??= setTimeout(() => this.#draw(), REDRAW_MILLISECONDS);
  }

  // The last row has come: offer the table.
  end() {
    if (!this.name) return;
    this.#draw();
    byId("timeline-save").hidden = false;
    const rows = this.columns.map(({ row }) => JSON.stringify(row) + "\n");
    const name = `${stem(this.name)}.timeline`;
    offer(byId("save-csv"), this.cells.join(""), "text/csv", `${name}.csv`);
    offer(byId("save-jsonl"), rows.join(""), "application/x-ndjson", `${name}.jsonl`);
  }

  #draw() {
    clearTimeout(this.waiting);
    this.waiting = undefined;
    const plot = byId("plot");
    const width = plot.getBoundingClientRect().width;
    if (!this.name || !width) return;
    const narrow = width < NARROW;
    const left = narrow ? 0 : 92, right = width - 12;
    this.span = Math.max(this.whole, this.seconds);
    this.at = (seconds) => left + (seconds / this.span) * (right - left);
    this.left = left;
    const pitch = narrow ? 50 : 40, high = 30;
    this.bottom = pitch * this.labels.length;
    plot.setAttribute("viewBox", `0 0 ${width} ${this.bottom + AXIS_PIXELS}`);
    plot.setAttribute("height", this.bottom + AXIS_PIXELS);
    const ground = [hatch()], bars = [], names = [];
    this.labels.forEach((label, number) => {
      const base = pitch * (number + 1);
      const area = { x: left, y: base - high, width: right - left, height: high };
      ground.push(shape("rect", { class: "track", ...area }), ...this.#shades(area));
      const value = ({ row }) => row.smoothed?.[label];
      const ifTop = (column) => column.row.smoothed_label === label ? value(column) : undefined;
      for (const [kind, of] of [["pale", value], ["strong", ifTop]]) {
        bars.push(shape("path", { class: kind, d: this.#stairs(base, high, of) }));
      }
      names.push(narrow
        ? text(label, { x: 0, y: base - high - 5 })
        : text(label, { x: left - 10, y: base - high / 2 + 5, "text-anchor": "end" }));
    });
    const lines = ["cursor", "playhead"].map((kind) =>
      shape("line", { class: kind, y1: 0, y2: this.bottom }));
    const parts = [...ground, ...this.#axis(right), ...bars, ...names, ...lines];
    plot.replaceChildren(...parts);
    this.#drawFaces(left, right);
    this.#summarise();
    if (this.selected !== undefined) this.#select(this.selected);
    if (this.played !== undefined) this.#place("playhead", this.played);
  }

  // Stretches with a missing modality, or without a prediction.
  #shades(area) {
    return runs(this.columns, ({ row }) => row.modality || "none")
      .filter(({ what }) => what !== this.modality)
      .map(({ what, start, end }) =>
        shape("rect", { class: what, ...area, x: this.at(start), width: this.at(end) - this.at(start) }));
  }

  // Outline of the columns that have a value.
  #stairs(base, high, value) {
    let path = "", end;
    for (const column of this.columns) {
      const share = value(column);
      if (share === undefined) continue;
      if (column.start !== end) path += `${end === undefined ? "" : `V${base}Z`}M${this.at(column.start)} ${base}`;
      path += `V${base - share * high}H${this.at(column.end)}`;
      end = column.end;
    }
    return path && `${path}V${base}Z`;
  }

  #axis(right) {
    const most = Math.max(1, Math.floor((right - this.left) / TICK_PIXELS));
    const step = TICKS.find((seconds) => this.span / seconds <= most) ?? 3600 * Math.ceil(this.span / most / 3600);
    const parts = [];
    for (let seconds = 0; seconds <= this.span; seconds += step) {
      const x = this.at(seconds);
      parts.push(shape("line", { class: "tick", x1: x, x2: x, y1: 0, y2: this.bottom + 4 }));
      const anchor = x < 14 ? "start" : x > right - 8 ? "end" : "middle";
      parts.push(text(clock(seconds), { x, y: this.bottom + 19, "text-anchor": anchor, class: "time" }));
    }
    return parts;
  }

  // The crops nearest to the middles of equal parts of the timeline.
  #drawFaces(left, right) {
    const many = Math.max(1, Math.floor((right - left) / FACE_PIXELS));
    const part = this.span / many;
    const images = [];
    for (let number = 0; number < many; number++) {
      const middle = (number + 0.5) * part;
      const away = ({ centre }) => Math.abs(centre - middle);
      const near = this.faces.filter((face) => away(face) <= part / 2);
      if (!near.length) continue;
      const { centre, face } = near.reduce((a, b) => (away(b) < away(a) ? b : a));
      const image = document.createElement("img");
      image.src = face;
      image.alt = image.title = `The face at ${clock(centre)}`;
      image.style.left = `${this.at(middle)}px`;
      images.push(image);
    }
    byId("strip").replaceChildren(...images);
    byId("strip").hidden = !images.length;
  }

  #summarise() {
    const counts = new Map();
    for (const { row } of this.columns) {
      if (row.smoothed_label) counts.set(row.smoothed_label, (counts.get(row.smoothed_label) ?? 0) + 1);
    }
    const answered = [...counts.values()].reduce((a, b) => a + b, 0);
    const shares = this.labels.filter((label) => counts.has(label))
      .map((label) => `${label} ${percent(counts.get(label) / answered)}`);
    byId("timeline-summary").textContent =
      `${answered} of ${this.columns.length} windows have a prediction.` +
      (answered ? ` Most probable in them: ${shares.join(", ")}.` : "");
    for (const what of ["none", "video", "audio"]) {
      byId(`legend-${what}`).hidden = what === this.modality ||
        !this.columns.some(({ row }) => (row.modality || "none") === what);
    }
    const gaps = runs(this.columns, ({ row }) => row.reason).filter(({ what }) => what);
    const items = gaps.slice(0, LISTED).map(({ what, start, end }) =>
      `${clock(start)} to ${clock(Math.ceil(end))}: ${what}`);
    if (gaps.length > LISTED) items.push(`… and ${gaps.length - LISTED} more, in the saved files`);
    byId("gaps").hidden = !gaps.length;
    byId("gap-list").replaceChildren(
      ...items.map((words) => Object.assign(document.createElement("li"), { textContent: words })),
    );
  }

  #point(event) {
    const seconds = this.#seconds(event);
    const found = this.columns.findIndex(({ end }) => seconds < end);
    if (found >= 0) this.#select(found);
  }

  // The time under the pointer.
  #seconds(event) {
    const x = event.clientX - byId("plot").getBoundingClientRect().left;
    const share = (x - this.at(0)) / (this.at(this.span) - this.at(0));
    return Math.min(Math.max(share, 0), 1) * this.span;
  }

  // Show where the player is, and, while it plays, the values of that window.
  #follow(seconds, playing) {
    this.played = seconds;
    if (!this.columns.length || !this.at) return;
    this.#place("playhead", seconds);
    const found = this.columns.findIndex(({ end }) => seconds < end);
    if (playing && found >= 0) this.#select(found);
    byId("plot").querySelector(".cursor").classList.toggle("shown", !playing && this.selected !== undefined);
  }

  #place(line, seconds) {
    const found = byId("plot").querySelector(`.${line}`);
    const x = this.at(Math.min(seconds, this.span));
    for (const name of ["x1", "x2"]) found?.setAttribute(name, x);
    found?.classList.add("shown");
  }

  // Show the values of one window.
  #select(number) {
    this.selected = number;
    const { row, centre } = this.columns[number];
    this.#place("cursor", centre);
    const answer = row.smoothed
      ? `${row.smoothed_label} (from ${RESTS_ON[row.modality]}): ` +
        this.labels.map((label) => `${label} ${percent(row.smoothed[label])}`).join(", ")
      : `no prediction: ${row.reason}`;
    byId("readout").textContent = `${clock(centre)}  ${answer}`;
  }
}

// Join neighbouring columns with the same value.
function runs(columns, what) {
  const found = [];
  for (const column of columns) {
    const last = found.at(-1);
    if (last?.what === what(column)) last.end = column.end;
    else found.push({ what: what(column), start: column.start, end: column.end });
  }
  return found;
}

function shape(kind, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const text = (words, attributes) => {
  const made = shape("text", attributes);
  made.textContent = words;
  return made;
};

function hatch() {
  const pattern = shape("pattern", {
    id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)",
  });
  pattern.append(shape("rect", { width: 2, height: 6 }));
  return pattern;
}
