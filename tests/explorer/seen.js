// What a reader with tired eyes, a keyboard or a screen reader would miss on a page: each a line that names it.
() => {
  const missed = [];
  const numbers = (text) => {
    const found = (text.match(/-?[\d.]+(e-?\d+)?/g) || []).map(Number);
    return text.startsWith("color(srgb") ? [...found.slice(0, 3).map((part) => part * 255), found[3] ?? 1] : [...found.slice(0, 3), found[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const part = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => 0.2126 * part(colour[0] / 255) + 0.7152 * part(colour[1] / 255) + 0.0722 * part(colour[2] / 255);
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (place) => {
    let colour = numbers(getComputedStyle(document.body).backgroundColor);
    const around = [];
    for (let one = place; one; one = one.parentElement) around.unshift(one);
    for (const one of around) colour = over(numbers(getComputedStyle(one).backgroundColor), colour);
    return [colour, around.reduce((all, one) => all * getComputedStyle(one).opacity, 1)];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = texts.nextNode()); ) {
    const place = node.parentElement, range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!node.textContent.trim() || !box.width || !place.checkVisibility() || place.closest("option, .tally, details.vega, .vega-embed > details")) continue;
    const style = getComputedStyle(place), [back, opacity] = behind(place);
    const ink = numbers(place.closest("svg") ? style.fill : style.color), size = parseFloat(style.fontSize);
    const seen = ratio(over([ink[0], ink[1], ink[2], ink[3] * opacity], back), back);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5; // WCAG 2, AA: 1.4.3
    if (seen < wanted) missed.push(`${seen.toFixed(2)}:1 ${place.tagName} ${place.className?.baseVal ?? place.className}: ${node.textContent.trim().slice(0, 40)}`);
  }
  for (const one of document.querySelectorAll("a[href], button, input, select, summary, [role=img], [role=region], nav, table.heat")) {
    const named = one.getAttribute("aria-label") || one.title || one.textContent.trim() || one.labels?.[0]?.textContent.trim();
    if (!named) missed.push(`no name: ${one.outerHTML.slice(0, 80)}`);
  }
  return [...new Set(missed)];
}
