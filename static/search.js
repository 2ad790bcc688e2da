// A search's page: the chart that can be zoomed and read off, drawn from points that are fetched once; title's icon at the
// end; what the reader opened stays open. Without this script the server draws the chart and the page reloads.
(() => {
  "use strict";
  const script = document.currentScript;
  const SVG = "http://www.w3.org/2000/svg";
  const [X, SECONDS, BEST, MEDIAN, MEAN, DEVIATION, DISTINCT, EQUIVALENT, EQUAL, CUT, COUNTED] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const MOST_POINTS = 1000;
  const BEATS_TOGETHER = 3;

  // The icon says from afar that a search has ended.
  function showEnd() {
    const state = document.getElementById("search-poll")?.dataset.state;
    const icon = { finished: script.dataset.finished, stopped: script.dataset.finished, failed: script.dataset.failed }[state];
    if (icon) document.querySelector("link[rel=icon]").href = icon;
  }
  document.addEventListener("htmx:afterSettle", showEnd);

  // Parts that are replaced keep their <details> as they are, and the keyboard's place.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const fresh = event.detail.fragment;
    for (const one of event.detail.target.querySelectorAll("details[id]")) {
      const next = fresh.querySelector(`#${CSS.escape(one.id)}`);
      if (next) next.open = one.open;
    }
    if (event.detail.target.matches("details[id]")) fresh.querySelector("details").open = event.detail.target.open;
    const focused = document.activeElement;
    if (!focused?.id || !event.detail.target.contains(focused)) return;
    const id = focused.id;
    setTimeout(() => document.getElementById(id)?.focus({ preventScroll: true }), 50);
  });

  // More digits where three would round a score below 1 up to 1, as the server prints it.
  function score(value, digits = 3) {
    for (; value < 1 && Number(value.toFixed(digits)) === 1; digits += 1) if (digits >= 5) return ">.99999";
    return value.toFixed(digits).replace(/^(-?)0\./, "$1.");
  }
  const whole = (value) => Math.round(value).toLocaleString(document.documentElement.lang || "en");
  function short(value) {
    for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size) return `${+(value / size).toPrecision(3)}${unit}`;
    }
    return `${+value.toPrecision(3)}`;
  }
  function niceTicks(low, high, about) {
    if (!(high > low)) return [low];
    const rough = (high - low) / about;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= rough * 0.999) * power;
    const ticks = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) ticks.push(+at.toPrecision(12));
    return ticks;
  }
  function logTicks(low, high) {
    const factors = high / low > 2000 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const factor of factors) ticks.push(factor * 10 ** power);
    }
    return ticks.filter((one) => one >= low * 0.999 && one <= high * 1.001);
  }
  function node(name, attributes = {}, text = "") {
    const one = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    if (text) one.textContent = text;
    return one;
  }
  function html(name, attributes = {}, ...children) {
    const one = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    one.append(...children);
    return one;
  }

  class Curve {
    constructor(place) {
      this.url = place.dataset.curve;
      this.words = JSON.parse(document.getElementById("curve-words").textContent);
      this.all = { points: [], finds: [] };
      this.zoomed = null; // {points, finds, low, high}
      this.show = "score";
      this.against = X;
      this.logX = false;
      this.logY = false;
      this.island = "";
      this.cursor = null;
      this.ready = false;
      this.busy = false;
      this.beat = 0;
      this.build(Number(place.dataset.islands || 1));
      this.attach(place);
    }

    build(islands) {
      const words = this.words;
      const choice = (label, options, on) => {
        const select = html("select", { "aria-label": label });
        for (const [value, text] of options) select.append(html("option", { value }, text));
        select.addEventListener("change", () => { on(select.value); });
        return select;
      };
      const check = (label, on) => {
        const box = html("input", { type: "checkbox" });
        box.addEventListener("change", () => { on(box.checked); this.draw(); });
        return html("label", {}, box, ` ${label}`);
      };
      const redraw = (set) => (value) => { set(value); this.cursor = null; this.draw(); };
      this.tools = html("div", { class: "curve-tools" },
        choice(words.show, ["score", ...(words.restarts ? ["population"] : []), "rate", "hits", "distinct"].map((one) => [one, words[one]]), redraw((value) => { this.show = value; })),
        html("span", {}, words.against),
        choice(words.against, [[X, words.programs], [SECONDS, words.seconds]], redraw((value) => { this.against = Number(value); this.zoomed = null; })),
        check(`x ${words.log}`, (on) => { this.logX = on; }), check(`y ${words.log}`, (on) => { this.logY = on; }));
      if (islands > 1) {
        const numbers = Array.from({ length: islands }, (_, index) => [index, `${words.islands} ${index + 1}`]);
        this.tools.append(choice(words.islands, [["", `${words.islands}: ${words.all}`], ...numbers], (value) => {
          this.island = value;
          this.all = { points: [], finds: [] };
          this.zoomed = null;
          this.ready = false;
          this.fetch();
        }));
      }
      this.back = html("button", { type: "button", class: "button", hidden: "" }, words.whole);
      this.back.addEventListener("click", () => this.unzoom());
      this.tools.append(this.back);
      this.svg = node("svg", { class: "chart curve-drawn", tabindex: "0", role: "application", "aria-label": words.help });
      this.readout = html("p", { class: "curve-readout meta", "aria-live": "polite" }, words.help);
      this.svg.addEventListener("pointermove", (event) => this.point(event));
      this.svg.addEventListener("pointerleave", () => { if (!this.drag) { this.cursor = null; this.cross(); } });
      this.svg.addEventListener("pointerdown", (event) => {
        if (event.target.closest("a") || event.button !== 0) return;
        this.drag = this.dataX(event);
      });
      addEventListener("pointerup", (event) => this.release(event));
      this.svg.addEventListener("dblclick", () => this.unzoom());
      this.svg.addEventListener("keydown", (event) => this.key(event));
      this.observer = new ResizeObserver(() => this.draw());
    }

    // Put the drawing in the place of the server's, which is kept for when this one is not ready.
    attach(place) {
      this.place = place;
      const figure = place.querySelector(".chart-figure");
      if (!figure || figure.contains(this.svg)) return;
      figure.prepend(this.tools, this.svg, this.readout);
      this.figure = figure;
      this.observer.disconnect();
      this.observer.observe(figure);
      if (this.ready) this.takeOver();
    }

    takeOver() {
      for (const one of this.figure.querySelectorAll(".chart:not(.curve-drawn)")) one.remove();
      this.place.classList.add("is-drawn");
      this.draw();
    }

    get newest() { return this.all.points.length ? this.all.points[this.all.points.length - 1][X] : 0; }

    // All islands together: a slice of one that waited goes between what the others did, so nothing can be appended.
    get together() { return Boolean(this.place.dataset.islands) && this.island === ""; }

    async fetch() {
      if (this.busy) return;
      const goesOn = document.getElementById("search-poll")?.hasAttribute("hx-get");
      if (this.together && this.ready && goesOn && (this.beat = (this.beat + 1) % BEATS_TOGETHER)) return;
      this.busy = true;
      const island = this.island;
      try {
        // A page that has watched for long has more points than it needs: it takes the whole curve anew, thinned by the server.
        const after = this.together || this.all.points.length > MOST_POINTS ? 0 : this.newest;
        const query = new URLSearchParams({ after: String(after) });
        if (island !== "") query.set("island", island);
        const answer = await fetch(`${this.url}?${query}`, { credentials: "same-origin" });
        if (!answer.ok || island !== this.island) return;
        const found = await answer.json();
        if (after === 0) this.all = { points: [], finds: [] };
        this.all.points.push(...found.points);
        const known = new Set(this.all.finds.map((one) => one[3]));
        this.all.finds.push(...found.finds.filter((one) => !known.has(one[3])));
        this.all.finds.sort((a, b) => a[0] - b[0]);
        if (!this.all.points.length) return;
        if (!this.ready) { this.ready = true; this.takeOver(); }
        else if (found.points.length && !this.zoomed) this.draw();
      } catch { /* the next look tries again */ } finally {
        this.busy = false;
        if (island !== this.island) this.fetch();
      }
    }

    async zoom(low, high) {
      const all = this.all.points;
      const inside = all.filter((one) => one[this.against] >= low && one[this.against] <= high);
      if (inside.length < 2) return;
      this.zoomed = { points: inside, finds: this.all.finds, low, high };
      this.cursor = null;
      this.draw();
      // In full: what the whole curve had to leave out.
      const first = all.indexOf(inside[0]);
      const query = new URLSearchParams({ after: String(first ? all[first - 1][X] : 0), until: String(inside[inside.length - 1][X]) });
      if (this.island !== "") query.set("island", this.island);
      try {
        const answer = await fetch(`${this.url}?${query}`, { credentials: "same-origin" });
        if (!answer.ok || !this.zoomed || this.zoomed.low !== low) return;
        const found = await answer.json();
        if (found.points.length > inside.length) { this.zoomed.points = found.points; this.draw(); }
      } catch { /* what is there stays */ }
    }

    unzoom() { this.zoomed = null; this.cursor = null; this.draw(); }

    // Best scores rose at finds, between the points and before the first of them: both are on the line. It never falls, though what is
    // fetched later begins with the best of its own experiment, and a find may be worth less than an earlier one.
    bestLine(points) {
      if (!points.length) return [];
      const place = (one) => [one[this.against], one[BEST]];
      const [low, high] = [this.zoomed ? this.zoomed.low : -Infinity, points[points.length - 1][this.against]];
      const finds = this.together ? [] : this.all.finds.map((one) => [this.against === X ? one[0] : one[1], one[2]]);
      let top = -Infinity;
      for (const [x, y] of [...this.all.points.map(place), ...finds]) if (x < low && y !== null) top = Math.max(top, y);
      const before = top > -Infinity ? [[low, top]] : [];
      return [...before, ...points.map(place), ...finds.filter((one) => one[0] >= low && one[0] <= high)]
        .filter((one) => one[1] !== null).sort((a, b) => a[0] - b[0] || a[1] - b[1])
        .map(([x, y]) => { top = Math.max(top, y); return [x, top]; });
    }

    get showsScores() { return this.show === "score" || this.show === "population"; }

    // What is drawn, for those who do not see it.
    get title() {
      if (this.showsPopulation) return this.words.title;
      return this.show === "score" ? this.words.best_title : this.words[this.show];
    }

    get showsPopulation() { return this.show === "population" || (this.show === "score" && !this.words.restarts); }

    // The chosen quantity of a point: [lines…], for what is drawn.
    series(points) {
      const against = this.against;
      const best = () => ["best", this.words.best, this.bestLine(points)];
      if (this.showsPopulation) {
        return [["mean", this.words.mean, points.map((one) => [one[against], one[MEAN]])],
          ["median", this.words.median, points.map((one) => [one[against], one[MEDIAN]])], best()];
      }
      if (this.show === "score") return [best()];
      if (this.show === "distinct") return [["best", this.words.distinct, points.map((one) => [one[against], one[DISTINCT]])]];
      if (this.show === "rate") return [["best", this.words.rate, this.rates(points)]];
      return [["mean", this.words.equal, this.shares(points, EQUAL)], ["best", this.words.equivalent, this.shares(points, EQUIVALENT)],
        ["median", this.words.cut, this.shares(points, CUT)]].filter((one) => one[2].some((pair) => pair[1] > 0));
    }

    rates(points) {
      const line = [];
      let before = null;
      for (const one of points) {
        if (before && one[SECONDS] <= before[SECONDS] + 0.2) continue;
        if (before) line.push([one[this.against], (one[X] - before[X]) / (one[SECONDS] - before[SECONDS])]);
        before = one;
      }
      return line;
    }

    // What of the programs between two reports was answered so.
    shares(points, column) {
      const line = [];
      let before = null;
      for (const one of points) {
        if (one[column] === null || one[column] === undefined) continue;
        if (before && one[COUNTED] > before[COUNTED]) line.push([one[this.against], Math.min(Math.max((one[column] - before[column]) / (one[COUNTED] - before[COUNTED]), 0), 1)]);
        before = one;
      }
      return line;
    }

    draw() {
      if (!this.ready || !this.figure?.isConnected) return;
      const width = Math.max(this.figure.clientWidth, 240);
      const narrow = width < 720;
      const height = narrow ? 288 : 384;
      const box = { left: narrow ? 44 : 56, right: width - (narrow ? 92 : 140), top: 28, bottom: height - 48 };
      const points = (this.zoomed ?? this.all).points;
      const lines = this.series(points).map(([kind, label, line]) => [kind, label, line.filter((one) => one[1] !== null)]);
      const xs = points.map((one) => one[this.against]);
      let low = this.zoomed ? this.zoomed.low : 0;
      const high = Math.max(this.zoomed ? this.zoomed.high : xs[xs.length - 1], low + 1e-9);
      const isScore = this.showsScores;
      const values = lines.flatMap((one) => one[2].map((pair) => pair[1]));
      if (!values.length) values.push(0);
      const baselines = isScore ? this.words.baselines : [];
      let floor = isScore ? this.words.floor : 0;
      let ceiling = this.show === "hits" ? 1 : Math.max(...values, ...baselines.map((one) => one[1]), floor) || 1;
      if (isScore) ceiling = Math.max(Math.min(1, ceiling + 0.06 * Math.max(ceiling - floor, 0.05)), floor + 0.05);
      else if (this.show !== "hits") ceiling *= 1.06;
      if (this.logX) low = Math.max(low, xs.find((one) => one > 0) ?? 1);
      // A logarithmic score axis is one of the error: the last points before 1 count most.
      const tiny = Math.max(1e-6, 0.5 * (1 - Math.max(...values.filter((one) => one < 1), 0)));
      if (this.logY && !isScore) floor = Math.max(Math.min(...values.filter((one) => one > 0)), 1e-6);
      const span = box.right - box.left;
      const toX = this.logX ? (value) => box.left + (span * Math.log(Math.max(value, low) / low)) / Math.log(high / low)
        : (value) => box.left + (span * (value - low)) / (high - low);
      const unit = (value) => {
        if (!this.logY) return (value - floor) / (ceiling - floor);
        if (isScore) return Math.log((1 - floor) / Math.max(1 - value, tiny)) / Math.log((1 - floor) / tiny);
        return Math.log(Math.max(value, floor) / floor) / Math.log(ceiling / floor);
      };
      const toY = (value) => box.bottom - (box.bottom - box.top) * Math.min(Math.max(unit(value), 0), 1);
      this.view = { toX, toY, box, low, high, points, lines };
      this.svg.setAttribute("aria-label", `${this.title}. ${this.words.help}`);
      const parts = [node("text", { class: "axis-title", x: 0, y: 14 }, isScore ? this.words.score : this.words[this.show])];
      let yTicks = niceTicks(floor, ceiling, 5);
      if (this.logY) yTicks = isScore ? logTicks(tiny, 1 - floor).map((one) => 1 - one) : logTicks(floor, ceiling);
      for (const tick of yTicks) {
        const text = isScore ? score(tick, this.logY ? Math.min(6, Math.max(1, -Math.floor(Math.log10(1 - tick + 1e-12)))) : ceiling - floor < 0.2 ? 2 : 1) : short(tick);
        parts.push(node("line", { class: "grid", x1: box.left, x2: box.right, y1: toY(tick), y2: toY(tick) }), node("text", { class: "tick tick-y", x: box.left - 8, y: toY(tick), dy: ".35em" }, text));
      }
      for (const tick of this.logX ? logTicks(low, high) : niceTicks(low, high, narrow ? 3 : 7)) {
        parts.push(node("line", { class: "tick-mark", x1: toX(tick), x2: toX(tick), y1: box.bottom, y2: box.bottom + 5 }), node("text", { class: "tick tick-x", x: toX(tick), y: box.bottom + 20 }, short(tick)));
      }
      parts.push(node("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
        node("text", { class: "axis-title axis-title-x", x: box.right, y: box.bottom + 40 }, this.against === X ? this.words.programs : this.words.seconds));
      const labels = [];
      for (const [title, value] of baselines) {
        if (value < floor || value > ceiling) continue;
        parts.push(node("line", { class: "baseline", x1: box.left, x2: box.right, y1: toY(value), y2: toY(value) }));
        labels.push(["baseline", title, score(value), toY(value)]);
      }
      if (this.showsPopulation) {
        const known = points.filter((one) => one[MEAN] !== null && one[DEVIATION] !== null);
        const edge = (sign) => known.map((one) => `${toX(one[this.against]).toFixed(1)} ${toY(Math.min(one[MEAN] + sign * one[DEVIATION], one[BEST] ?? 1)).toFixed(1)}`);
        if (known.length > 1) parts.push(node("path", { class: "band", d: `M${edge(1).join("L")}L${edge(-1).reverse().join("L")}Z` }));
      }
      for (const [kind, label, line] of lines) {
        if (!line.length) continue;
        let path = "";
        for (const [x, y] of line) {
          const at = [toX(x).toFixed(1), toY(y).toFixed(1)];
          path += !path ? `M${at.join(" ")}` : kind === "best" && isScore ? `H${at[0]}V${at[1]}` : `L${at.join(" ")}`;
        }
        parts.push(node("path", { class: `line line-${kind}`, d: path }));
        const last = line[line.length - 1][1];
        labels.push([kind, label, isScore || this.show === "hits" ? score(last) : short(last), toY(last)]);
      }
      if (isScore) {
        for (const [programs, seconds, value, href] of (this.zoomed ?? this.all).finds) {
          const x = this.against === X ? programs : seconds;
          if (this.island === "" && this.place.dataset.islands && this.against === X) continue; // counted by its island, not by all
          if (x < low || x > high || value < floor) continue;
          const link = node("a", { href, tabindex: "-1" });
          const mark = node("circle", { class: "mark", cx: toX(x), cy: toY(value), r: 3 });
          mark.append(node("title", {}, `${score(value)} · ${whole(programs)}`));
          link.append(mark);
          parts.push(link);
        }
      }
      labels.sort((a, b) => a[3] - b[3]);
      // On a narrow chart the value stands below the name, as in the server's.
      const named = isScore || lines.length > 1;
      const apart = narrow && named ? 32 : 17;
      let lowest = -Infinity;
      for (const one of labels) lowest = one[3] = Math.max(one[3], lowest + apart);
      for (let index = labels.length - 1, limit = box.bottom; index >= 0; index -= 1, limit -= apart) labels[index][3] = Math.min(labels[index][3], limit);
      for (const [kind, label, value, y] of labels) {
        const below = narrow && named;
        const text = node("text", { class: `label label-${kind}`, x: box.right + 8, y: below ? y - 7 : y, dy: ".35em" }, named ? `${label} ` : "");
        text.append(node("tspan", below ? { class: "value", x: box.right + 8, dy: "1.2em" } : { class: "value" }, value));
        parts.push(text);
      }
      this.crossLine = node("g", { class: "cross" });
      parts.push(this.crossLine);
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.style.height = `${height}px`;
      this.svg.replaceChildren(...parts);
      this.back.hidden = !this.zoomed;
      this.cross();
      this.fillTable(points);
    }

    // The server's table of the curve goes on with it.
    fillTable(points) {
      const body = this.figure.querySelector(".data tbody");
      if (!body) return;
      const stride = Math.max(1, Math.floor(points.length / 16));
      const rows = points.filter((_, index) => (points.length - 1 - index) % stride === 0);
      const text = (value) => (value === null ? "–" : score(value));
      body.replaceChildren(...rows.map((one) => {
        const row = html("tr");
        for (const cell of [whole(one[X]), one[SECONDS].toFixed(1), text(one[BEST]), text(one[MEAN]), text(one[DEVIATION])]) row.append(html("td", {}, cell));
        return row;
      }));
    }

    dataX(event) {
      const { box, low, high } = this.view;
      const frame = this.svg.getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - frame.left - box.left) / (box.right - box.left), 0), 1);
      return this.logX ? low * (high / low) ** share : low + share * (high - low);
    }

    point(event) {
      if (!this.view) return;
      const x = this.dataX(event);
      const { points } = this.view;
      let nearest = 0;
      for (let index = 1; index < points.length; index += 1) {
        if (Math.abs(points[index][this.against] - x) < Math.abs(points[nearest][this.against] - x)) nearest = index;
      }
      this.cursor = points[nearest] ?? null;
      this.cross(this.drag !== undefined && this.drag !== null ? [this.drag, x] : null);
    }

    release(event) {
      if (this.drag === undefined || this.drag === null || !this.view) return;
      const [low, high] = [this.drag, this.dataX(event)].sort((a, b) => a - b);
      this.drag = null;
      if (Math.abs(this.view.toX(high) - this.view.toX(low)) > 8) this.zoom(low, high);
      else this.cross();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.view) return;
      const { points, low, high } = this.view;
      const at = points.indexOf(this.cursor);
      const centre = this.cursor ? this.cursor[this.against] : (low + high) / 2;
      const half = (high - low) / 4;
      const step = event.shiftKey ? 10 : 1;
      if (event.key === "ArrowRight") this.cursor = points[Math.min(at < 0 ? points.length - 1 : at + step, points.length - 1)];
      else if (event.key === "ArrowLeft") this.cursor = points[Math.max(at < 0 ? points.length - 1 : at - step, 0)];
      else if (event.key === "+") return void this.zoom(centre - half, centre + half);
      else if (event.key === "-" || event.key === "0" || event.key === "Escape") return void this.unzoom();
      else return;
      event.preventDefault();
      this.cross();
    }

    cross(range = null) {
      if (!this.view || !this.crossLine) return;
      const { toX, toY, box } = this.view;
      const parts = [];
      if (range) {
        const [from, to] = range.map(toX).sort((a, b) => a - b);
        parts.push(node("rect", { class: "selection", x: from, y: box.top, width: to - from, height: box.bottom - box.top }));
      }
      const one = this.cursor;
      if (one) {
        const x = toX(one[this.against]);
        parts.push(node("line", { class: "cross-line", x1: x, x2: x, y1: box.top, y2: box.bottom }));
        if (this.showsScores && one[BEST] !== null) parts.push(node("circle", { class: "cross-dot", cx: x, cy: toY(one[BEST]), r: 4 }));
        const words = this.words;
        const texts = [`${whole(one[X])} ${words.programs}`, `${one[SECONDS].toFixed(1)} s`];
        const add = (word, value, digits) => { if (value !== null && value !== undefined) texts.push(`${word} ${score(value, digits)}`); };
        add(words.best, one[BEST], 4);
        add(words.median, one[MEDIAN], 4);
        if (one[MEAN] !== null) texts.push(`${words.mean} ${score(one[MEAN], 4)}${one[DEVIATION] !== null ? ` ± ${score(one[DEVIATION])}` : ""}`);
        if (one[DISTINCT] !== null) texts.push(`${whole(one[DISTINCT])} ${words.distinct}`);
        this.readout.textContent = texts.join(" · ");
      } else this.readout.textContent = this.words.help;
      this.crossLine.replaceChildren(...parts);
    }
  }

  let curve = null;
  function look() {
    const place = document.querySelector("#search-chart[data-curve]");
    if (!place) return;
    if (!curve) curve = new Curve(place);
    else if (curve.place !== place) curve.attach(place);
    curve.fetch();
  }
  // The page's poll says that the chart is drawn here, and is the beat for fetching what is new.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id === "search-poll" && curve?.ready) event.detail.parameters.chart = "drawn";
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (["search-poll", "search-live"].includes(event.target.id)) look();
  });
  document.addEventListener("DOMContentLoaded", () => { showEnd(); look(); });
})();
