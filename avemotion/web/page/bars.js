// One bar per emotion.

export class Bars {
  constructor(container, labels) {
    this.rows = new Map();
    for (const label of labels) {
      const [name, track, fill, value] = ["span", "div", "div", "span"].map((tag) =>
        document.createElement(tag),
      );
      name.textContent = label;
      track.className = "track";
      fill.className = "fill";
      value.className = "value";
      track.append(fill);
      container.append(name, track, value);
      this.rows.set(label, { name, track, fill, value });
    }
    this.show(null);
  }

  // Show probabilities by label; null where there are none.
  show(probabilities) {
    const top = probabilities && mostProbable(probabilities);
    for (const [label, { name, track, fill, value }] of this.rows) {
      const share = probabilities ? probabilities[label] : 0;
      fill.style.transform = `scaleX(${share})`;
      value.textContent = probabilities ? percent(share) : "–";
      for (const part of [name, track, value]) part.classList.toggle("top", label === top);
    }
  }
}

export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

export const mostProbable = (probabilities) =>
  Object.keys(probabilities).reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a));
