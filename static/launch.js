// The launch form: counts of chosen ops, and the first error in view. Without it everything works by its buttons.
(() => {
  "use strict";
  const form = document.getElementById("launch");
  if (!form) return;

  function count(field) {
    const place = field.querySelector("[data-ops-count]");
    const chosen = field.querySelectorAll("input[type=checkbox]:checked").length;
    place.textContent = place.textContent.replace(/\d+/, String(chosen));
    for (const group of field.querySelectorAll(".op-group")) {
      const words = group.querySelector("summary .meta");
      words.textContent = words.textContent.replace(/\d+/, String(group.querySelectorAll(":checked").length));
    }
  }

  // Fields of a part that is switched off are not there.
  function showPart(part) {
    for (const input of form.querySelectorAll(`[name^="${part.dataset.part}."]`)) {
      const field = input.closest(".field");
      if (!field.classList.contains("has-error")) field.hidden = part.value === "no";
    }
  }
  function showParts() {
    for (const part of form.querySelectorAll("[data-part]")) showPart(part);
  }

  form.addEventListener("change", (event) => {
    const field = event.target.closest(".ops-field");
    if (field) count(field);
    if (event.target.dataset.part) showPart(event.target);
  });
  document.addEventListener("htmx:afterSettle", showParts);
  showParts();

  const first = form.querySelector(".has-error input, .has-error select, .has-error textarea, .has-error summary");
  if (first) {
    for (let fold = first.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    first.focus();
  }
})();
