/**
 * Repeats one piece of work while the page can be seen, one run at a time.
 * @module
 */

export class Poller {
  #work;
  #pauseMs;
  #current = Promise.resolve();
  #next = null;
  #timer = null;
  #active = false;

  /**
   * @param {function(): Promise<void>} work handles its own failures
   * @param {function(): number} pauseMs how long to wait after a run, in milliseconds
   */
  constructor(work, pauseMs) {
    this.#work = work;
    this.#pauseMs = pauseMs;
    document.addEventListener("visibilitychange", () => this.#turn());
  }

  /** Begin with a run at once. */
  start() {
    this.#active = true;
    this.#turn();
  }

  /** Begin no further run. */
  stop() {
    this.#active = false;
    clearTimeout(this.#timer);
  }

  /** Run now, after a run that has already begun; resolves when it is done. */
  now() {
    clearTimeout(this.#timer);
    this.#next ??= this.#current.then(() => this.#run());
    return this.#next;
  }

  #run() {
    this.#next = null;
    this.#current = this.#work().finally(() => this.#wait());
    return this.#current;
  }

  #wait() {
    clearTimeout(this.#timer);
    if (this.#active && !document.hidden) this.#timer = setTimeout(() => this.now(), this.#pauseMs());
  }

  #turn() {
    if (this.#active && !document.hidden) this.now();
    else clearTimeout(this.#timer);
  }
}
