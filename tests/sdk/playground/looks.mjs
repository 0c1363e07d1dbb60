// What the eye would see, asked from the document. These functions run inside the page.

/** Elements that reach beyond the window, and the document's width if it does. */
export function overflowing() {
  // A phone's `innerWidth` grows with whatever is too wide.
  const wide = document.documentElement.clientWidth;
  const found = [];
  if (document.documentElement.scrollWidth > wide) {
    found.push(`document: ${document.documentElement.scrollWidth} > ${wide}`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) continue;
    if (box.right > wide + 0.5 || box.left < -0.5) {
      const name = `${element.tagName.toLowerCase()}#${element.id}.${element.getAttribute("class") ?? ""}`;
      found.push(`${name}: ${box.left.toFixed(1)} to ${box.right.toFixed(1)} of ${wide}`);
    }
  }
  return found;
}

/** Things to touch that are smaller than a finger. */
export function smallTargets(leastPx) {
  const found = [];
  for (const element of document.querySelectorAll("button, input, textarea, summary, a[href]")) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) continue;
    if (box.height < leastPx - 0.01 || box.width < leastPx - 0.01) {
      found.push(`${element.tagName} ${element.id} ${box.width.toFixed(1)} x ${box.height.toFixed(1)}`);
    }
  }
  return found;
}

/** Texts with less contrast to what is behind them than WCAG 2 asks of small letters (1.4.3). */
export function faintTexts(leastRatio) {
  const channels = (colour) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([red, green, blue]) => {
    const linear = (value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || !element.checkVisibility() || element.closest("script, .unseen")) continue;
    const ink = luminance(channels(getComputedStyle(element).color));
    const ground = luminance(behind(element));
    const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (ratio < leastRatio) {
      found.add(`${ratio.toFixed(2)} ${element.tagName}.${element.className} "${node.data.trim().slice(0, 30)}"`);
    }
  }
  return [...found];
}

/** Fields without a name for those who cannot see them. */
export function namelessControls() {
  const found = [];
  for (const element of document.querySelectorAll("button, input:not([type=hidden]), textarea")) {
    const byLabel = [...(element.labels ?? [])].some((label) => label.textContent.trim() !== "");
    const byText = element.tagName === "BUTTON" && element.textContent.trim() !== "";
    if (!byLabel && !byText && !element.hasAttribute("aria-label")) found.push(element.outerHTML);
  }
  return found;
}
