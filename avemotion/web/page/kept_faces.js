// Faces that are kept when their emotion changes, as a grid and as one PNG.
import { mostProbable } from "./bars.js";

const byId = (id) => document.getElementById(id);
const SIDE = 64; // pixels of a kept face
const MOST = 60; // the oldest one goes
const STEADY = 3; // answers in a row with the new emotion: one alone may be a slip
const COLUMNS = 10; // of the PNG
const CAPTION = 14; // pixels below a face in it

export class KeptFaces {
  constructor() {
    this.faces = []; // canvas and caption
    this.forget();
    byId("clear-faces").addEventListener("click", () => {
      this.faces = [];
      this.show();
    });
    byId("save-faces").addEventListener("click", () => this.offer());
  }

  // Forget who showed what, not what is kept: another camera, other numbers.
  forget() {
    this.shown = new Map(); // number of a face -> emotion kept last, newest one, and how often
  }

  // Take the faces of an image; keep those whose emotion has changed.
  see(faces, image) {
    for (const { number, box, probabilities } of faces) {
      if (!probabilities) continue;
      const label = mostProbable(probabilities);
      const before = this.shown.get(number) ?? { kept: null, label: null, times: 0 };
      const times = label === before.label ? before.times + 1 : 1;
      const changed = label !== before.kept && times >= STEADY;
      this.shown.set(number, { kept: changed ? label : before.kept, label, times });
      if (changed) this.keep(box, label, image);
    }
  }

  keep({ x, y, width, height }, label, image) {
    const face = document.createElement("canvas");
    Object.assign(face, { width: SIDE, height: SIDE });
    const side = Math.max(width, height); // square, around the box
    const left = x + (width - side) / 2, top = y + (height - side) / 2;
    face.getContext("2d").drawImage(image, left, top, side, side, 0, 0, SIDE, SIDE);
    this.faces.unshift({ face, label, at: new Date().toLocaleTimeString() });
    this.faces.length = Math.min(this.faces.length, MOST);
    this.show();
  }

  show() {
    byId("saved").hidden = !this.faces.length;
    byId("saved-faces").replaceChildren(
      ...this.faces.map(({ face, label, at }) => {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        caption.textContent = label;
        figure.title = `${label}, ${at}`;
        figure.append(face, caption);
        return figure;
      }),
    );
  }

  // The grid as one PNG, made when it is asked for.
  offer() {
    const columns = Math.min(COLUMNS, this.faces.length);
    const sheet = document.createElement("canvas");
    sheet.width = columns * SIDE;
    sheet.height = Math.ceil(this.faces.length / columns) * (SIDE + CAPTION);
    const pen = sheet.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, sheet.width, sheet.height);
    pen.fillStyle = "black";
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    this.faces.forEach(({ face, label }, number) => {
      const left = (number % columns) * SIDE;
      const top = Math.floor(number / columns) * (SIDE + CAPTION);
      pen.drawImage(face, left, top);
      pen.fillText(label, left + SIDE / 2, top + SIDE + 11, SIDE - 2);
    });
    const link = byId("save-faces");
    link.href = sheet.toDataURL("image/png");
    link.download = "faces.png";
  }
}
