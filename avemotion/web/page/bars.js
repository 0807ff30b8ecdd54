// One bar per emotion, or per action unit.

export class Bars {
  constructor(container, labels) {
    this.rows = new Map();
    for (const label of labels) {
      const [row, name, track, fill, value] = ["div", "span", "div", "div", "span"].map((tag) =>
        document.createElement(tag),
      );
      row.className = "row";
      name.textContent = label;
      track.className = "track";
      fill.className = "fill";
      value.className = "value";
      track.append(fill);
      row.append(name, track, value);
      container.append(row);
      this.rows.set(label, { name, track, fill, value });
    }
    this.show(null);
  }

  // Show probabilities of which one label is right; null where there are none.
  show(probabilities) {
    const top = probabilities && mostProbable(probabilities);
    this.fill(probabilities, (label) => label === top);
  }

  // Show probabilities of which any number may be right.
  showEach(probabilities) {
    this.fill(probabilities, (label) => probabilities?.[label] >= 0.5);
  }

  fill(probabilities, isTop) {
    for (const [label, { name, track, fill, value }] of this.rows) {
      const share = probabilities ? probabilities[label] : 0;
      fill.style.transform = `scaleX(${share})`;
      value.textContent = probabilities ? percent(share) : "–";
      for (const part of [name, track, value]) part.classList.toggle("top", isTop(label));
    }
  }
}

export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

export const mostProbable = (probabilities) =>
  Object.keys(probabilities).reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a));
