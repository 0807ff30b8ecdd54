// The uploaded file, played by the browser from this machine: the server has it no longer.
const byId = (id) => document.getElementById(id);
const SOUND = "Press play to hear it: the line follows. Click on the plot to go to a moment.";
const VIDEO = "Press play to watch it: the line follows. Click on the plot to go to a moment.";
const UNKNOWN = "This browser cannot play this kind of file; the predictions do not depend on it.";

export class Player {
  // Calls `follow` with the time in seconds, and whether it is playing.
  constructor(follow) {
    this.video = byId("player");
    const tell = () => follow(this.video.currentTime, !this.video.paused);
    for (const kind of ["timeupdate", "seeking", "play"]) this.video.addEventListener(kind, tell);
    this.video.addEventListener("play", () => this.#everyFrame(tell));
    this.video.addEventListener("loadedmetadata", () => {
      const hasImage = this.video.videoWidth > 0;
      this.video.classList.toggle("sound", !hasImage);
      this.video.hidden = false;
      byId("player-note").textContent = hasImage ? VIDEO : SOUND;
    });
    this.video.addEventListener("error", () => {
      if (!this.url) return; // it was cleared
      this.video.hidden = true;
      byId("player-note").textContent = UNKNOWN;
    });
  }

  load(file) {
    this.clear();
    this.url = URL.createObjectURL(file);
    this.video.src = this.url;
  }

  clear() {
    const before = this.url;
    this.url = undefined;
    this.video.hidden = true;
    byId("player-note").textContent = "";
    if (!before) return;
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(before);
  }

  seek(seconds) {
    if (!this.video.hidden) this.video.currentTime = seconds;
  }

  #everyFrame(tell) {
    if (this.video.paused || this.video.ended) return;
    tell();
    requestAnimationFrame(() => this.#everyFrame(tell));
  }
}
