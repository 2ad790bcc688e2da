// Applies the chosen theme before the first paint. Without a choice the system's theme holds.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage may be closed to us */ }
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
})();
