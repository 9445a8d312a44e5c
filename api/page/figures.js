/* What the figures have in common: colours of the page, a time axis in Brussels time, and how they are drawn. */

import { brussels, hourMinute, offsetOf, utc } from "./format.js";

const HOUR_MS = 3_600_000;
/** Plotly is large: the page says what it has to say while it still comes. */
const plotly = new Promise((resolve) => {
  if (window.Plotly) resolve(window.Plotly);
  else document.getElementById("plotly").addEventListener("load", () => resolve(window.Plotly));
});

/** A colour of the page as it is at present, light or dark. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The same, so much of it opaque; colours of the page are written as #rrggbb. */
export const faint = (name, share) => colour(name) + Math.round(255 * share).toString(16).padStart(2, "0");

export async function draw(place, traces, layout) {
  const common = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false, autosize: true,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("soft"), font: { color: colour("ink"), size: 12 } },
    legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, font: { size: 11 } },
    margin: { l: 52, r: 12, t: 30, b: 34 },
  };
  return (await plotly).react(place, traces, { ...common, ...layout }, { displayModeBar: false, responsive: true, doubleClick: false });
}

export function axis(title, more = {}) {
  return {
    title: { text: title, font: { size: 11, color: colour("soft") }, standoff: 6 }, gridcolor: colour("grid"),
    zerolinecolor: colour("soft"), zerolinewidth: 1, linecolor: colour("line"), fixedrange: true, automargin: true, ...more,
  };
}

/** A time axis whose marks stand on Brussels' clock, whatever clocks do in between. */
export function timeAxis(fromMs, untilMs, widthPx) {
  const most = Math.max(2, Math.floor(widthPx / 70));
  const step = [0.25, 0.5, 1, 2, 3, 4, 6].find((hours) => (untilMs - fromMs) / (hours * HOUR_MS) <= most) ?? 12;
  const marks = [];
  const stepMs = step * HOUR_MS;
  for (let at = Math.ceil(fromMs / stepMs) * stepMs; at <= untilMs; at += stepMs) marks.push(at);
  const title = `Brussels time (${[...new Set([offsetOf(new Date(fromMs)), offsetOf(new Date(untilMs))])].join(" / ")})`;
  return axis(title, {
    type: "date", range: [fromMs, untilMs], tickvals: marks, ticktext: marks.map((at) => hourMinute(new Date(at))), hoverformat: " ",
  });
}

/** A time for hover labels: Brussels with its offset, then UTC. */
export const when = (ms) => `${brussels(new Date(ms))} (${utc(new Date(ms)).slice(11, 16)} UTC)`;

/** A series of the service as points; a gap stays one. */
export function points(series) {
  if (series === null || series === undefined) return { x: [], y: [] };
  const [startMs, stepMs] = [Date.parse(series.start), 60_000 * series.step_min];
  return { x: series.values.map((_, at) => startMs + at * stepMs), y: series.values, stepMs };
}

/** The points of steps: the last one is drawn to its end. */
export function steps(series) {
  const given = points(series);
  if (given.x.length === 0) return given;
  return { ...given, x: [...given.x, given.x.at(-1) + given.stepMs], y: [...given.y, given.y.at(-1)] };
}
