// Small things that pages can do without: the theme switch, polling only while seen, what is open stays open.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  function showTheme(button) {
    button.setAttribute("aria-pressed", String(isDark()));
  }

  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    showTheme(button);
    dark.addEventListener("change", () => showTheme(button));
    button.addEventListener("click", () => {
      const chosen = isDark() ? "light" : "dark";
      if ((chosen === "dark") === dark.matches) delete root.dataset.theme;
      else root.dataset.theme = chosen;
      try {
        if (root.dataset.theme) localStorage.setItem("theme", chosen);
        else localStorage.removeItem("theme");
      } catch { /* the choice holds for this page */ }
      showTheme(button);
    });
  }

  // A hidden tab asks for nothing; when it is seen again it asks at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.target.hasAttribute("data-polls")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !window.htmx) return;
    for (const part of document.querySelectorAll("[data-polls]")) window.htmx.trigger(part, "seen");
  });

  // A part that is replaced keeps its <details> as the reader left them.
  const open = new Map();
  document.addEventListener("htmx:beforeSwap", (event) => {
    for (const one of event.target.querySelectorAll("details[id]")) open.set(one.id, one.open);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const [id, state] of open) {
      const one = document.getElementById(id);
      if (one) one.open = state;
    }
    open.clear();
  });

  // A link to a step inside a folded stretch opens it.
  function unfold() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    if (target) target.scrollIntoView();
  }
  window.addEventListener("hashchange", unfold);

  // j and k move along rows that are links.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
    if (event.target.closest("input, textarea, select")) return;
    const rows = [...document.querySelectorAll("[data-row-link]")];
    if (!rows.length) return;
    const next = rows.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
    rows[Math.min(Math.max(next, 0), rows.length - 1)].focus();
    event.preventDefault();
  });
})();
