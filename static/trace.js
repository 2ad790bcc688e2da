// In a program, a register that is pointed at, focused or chosen lights up wherever it is written and read.
(() => {
  "use strict";

  function trace(program) {
    const registers = [...program.querySelectorAll(".register")];
    const status = document.getElementById(program.dataset.trace);
    if (!registers.length || !status) return;
    const words = status.dataset;
    const hint = status.textContent;
    let chosen = "";

    const places = new Map();
    for (const register of registers) {
      const statement = register.closest(".statement");
      const line = register.closest("li");
      const title = register.closest(".function").querySelector(".fn-name").textContent;
      register.isWritten = statement.firstElementChild === register && !statement.firstChild.textContent.includes("(");
      register.line = line;
      const place = `${title} ${[...line.parentElement.children].indexOf(line) + 1}`;
      const known = places.get(register.textContent) || { written: new Set(), read: new Set() };
      known[register.isWritten ? "written" : "read"].add(place);
      places.set(register.textContent, known);
    }

    function light(name) {
      for (const register of registers) {
        const same = name !== "" && register.textContent === name;
        register.classList.toggle("lit", same);
        register.classList.toggle("written", same && register.isWritten);
      }
      if (!name) {
        status.textContent = hint;
        return;
      }
      const { written, read } = places.get(name);
      const meaning = words[name] ? ` (${words[name]})` : "";
      const list = (set) => [...set].join(", ") || words.nothing;
      status.textContent = `${name}${meaning}: ${words.written} ${list(written)}; ${words.read} ${list(read)}.`;
    }

    function choose(register) {
      chosen = chosen === register.textContent ? "" : register.textContent;
      for (const one of registers) one.setAttribute("aria-pressed", String(one.textContent === chosen));
      light(chosen || register.textContent);
    }

    function reach(register) {
      for (const one of registers) one.tabIndex = one === register ? 0 : -1;
    }

    // Up and down lead to the register of the nearest other line that stands most nearly above or below.
    function beside(register, step) {
      const index = registers.indexOf(register);
      for (let i = index + step; i >= 0 && i < registers.length; i += step) {
        if (registers[i].line === register.line) continue;
        const row = registers.filter((one) => one.line === registers[i].line);
        const at = register.getBoundingClientRect().left;
        const far = (one) => Math.abs(one.getBoundingClientRect().left - at);
        return row.reduce((best, one) => (far(one) < far(best) ? one : best));
      }
      return register;
    }

    for (const register of registers) {
      register.setAttribute("role", "button");
      register.setAttribute("aria-pressed", "false");
      register.setAttribute("aria-describedby", status.id);
    }
    reach(registers[0]);
    status.hidden = false;

    program.addEventListener("mouseover", (event) => {
      const register = event.target.closest(".register");
      light(register ? register.textContent : chosen);
    });
    program.addEventListener("mouseleave", () => light(chosen));
    program.addEventListener("focusin", (event) => {
      const register = event.target.closest(".register");
      if (!register) return;
      reach(register);
      light(register.textContent);
    });
    program.addEventListener("focusout", () => light(chosen));
    program.addEventListener("click", (event) => {
      const register = event.target.closest(".register");
      if (register) choose(register);
    });
    program.addEventListener("keydown", (event) => {
      const register = event.target.closest(".register");
      if (!register || event.ctrlKey || event.metaKey || event.altKey) return;
      const index = registers.indexOf(register);
      let next = null;
      if (event.key === "ArrowRight") next = registers[Math.min(index + 1, registers.length - 1)];
      else if (event.key === "ArrowLeft") next = registers[Math.max(index - 1, 0)];
      else if (event.key === "ArrowDown") next = beside(register, 1);
      else if (event.key === "ArrowUp") next = beside(register, -1);
      else if (event.key === "Enter" || event.key === " ") choose(register);
      else if (event.key === "Escape") {
        chosen = register.textContent;
        choose(register);
        light("");
      } else return;
      event.preventDefault();
      if (next) next.focus();
    });
  }

  for (const program of document.querySelectorAll("[data-trace]")) trace(program);
})();
