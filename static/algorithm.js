// Copy buttons: of a text, of what stands in an element, or of a file.
(() => {
  "use strict";

  async function textOf({ copyText, copy, copyFrom }) {
    if (copyText) return copyText;
    if (copy) return document.getElementById(copy).textContent;
    const response = await fetch(copyFrom);
    if (!response.ok) throw new Error(String(response.status));
    return response.text();
  }

  // Without TLS browsers hide the clipboard; selecting and copying still works.
  function copyTheOldWay(text) {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "visually-hidden";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) throw new Error("copying was refused");
  }

  async function copy(button) {
    const text = await textOf(button.dataset);
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyTheOldWay(text);
    const label = button.textContent;
    button.textContent = button.dataset.done;
    button.disabled = true;
    setTimeout(() => {
      button.textContent = label;
      button.disabled = false;
    }, 1500);
  }

  for (const button of document.querySelectorAll("[data-copy-text], [data-copy], [data-copy-from]")) {
    button.addEventListener("click", () => copy(button).catch(() => button.classList.add("failed")));
  }
})();
