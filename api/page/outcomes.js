/* How the day may turn out after each action: interval, median and mean, now and under the risk aversion that is tried. */

import { byId, element, say } from "./dom.js";
import { axis, colour, draw, faint } from "./figures.js";
import { eur, number, signed } from "./format.js";
import { actionWord } from "./sentences.js";

const ACTIONS = ["charge", "idle", "discharge"];
const NONE_GIVEN = "Rules and policies without a critic give no distribution; so does a decision by fallback.";

/** Distributions by action; the action that was taken is marked. Null where there are none. */
function given(decision) {
  const chosen = decision.setpoint.action;
  const rows = new Map(decision.alternatives.map((each) => [each.action, each.profit_eur]));
  if (decision.expected.profit_eur !== null) rows.set(chosen, decision.expected.profit_eur);
  const found = ACTIONS.filter((action) => rows.get(action)).map((action) => ({ action, profit: rows.get(action), chosen: action === chosen }));
  return found.length ? found : null;
}

export function drawOutcomes(decision, preview) {
  const rows = given(decision);
  const tried = preview === null ? null : given(preview);
  byId("outcomes").hidden = rows === null;
  byId("outcomes-table").hidden = rows === null;
  if (rows === null) {
    say("outcomes-note", NONE_GIVEN);
    return;
  }
  fillTable(rows, tried);
  const text = tried === null ? "" : ` Hollow: under the risk aversion that is tried, which would ${preview.setpoint.action}.`;
  say("outcomes-note", `Profit from now to Brussels midnight with the energy then left in store. Bar: 5 % to 95 %; line: median; dot: mean.${text}`);
  const shift = tried === null ? 0 : 0.17;
  const traces = [...intervals(rows, shift, true), ...(tried === null ? [] : intervals(tried, -shift, false))];
  const ticks = ACTIONS.map((action) => mark(action, rows, tried));
  draw(byId("outcomes"), traces, {
    showlegend: false, margin: { l: 90, r: 14, t: 8, b: 40 }, hovermode: "closest",
    xaxis: axis("EUR to midnight"),
    yaxis: axis("", { tickvals: [0, 1, 2], ticktext: ticks, range: [-0.55, 2.55], zeroline: false, showgrid: false }),
  });
}

function mark(action, rows, tried) {
  const now = rows.some((row) => row.chosen && row.action === action);
  const would = tried?.some((row) => row.chosen && row.action === action) ?? false;
  const word = now ? `<b>${actionWord(action)}</b>` : actionWord(action);
  return [word, now ? "chosen" : "", would ? "preview" : ""].filter(Boolean).join("<br>");
}

function intervals(rows, shift, filled) {
  return rows.flatMap(({ action, profit, chosen }) => {
    const y = ACTIONS.indexOf(action) + shift;
    const ink = colour(action);
    const label = `${actionWord(action)}${filled ? "" : ", preview"}: mean ${eur(profit.mean)}, median ${eur(profit.p50)}, 5 % ${eur(profit.p05)}, 95 % ${eur(profit.p95)}`;
    const hover = { hoverinfo: "text", text: label, showlegend: false };
    const bar = {
      type: "bar", orientation: "h", base: [profit.p05], x: [profit.p95 - profit.p05], y: [y], width: 0.3,
      marker: { color: filled ? faint(action, chosen ? 0.55 : 0.25) : "rgba(0,0,0,0)", line: { color: ink, width: chosen ? 2.5 : 1.2 } },
      hovertext: label, hoverinfo: "text", showlegend: false, textposition: "none",
    };
    const median = { x: [profit.p50, profit.p50], y: [y - 0.15, y + 0.15], mode: "lines", line: { color: ink, width: 2 }, ...hover };
    const mean = {
      x: [profit.mean], y: [y], mode: "markers", ...hover,
      marker: { color: filled ? ink : colour("card"), size: 9, line: { color: ink, width: 2 } },
    };
    return [bar, median, mean];
  });
}

function fillTable(rows, tried) {
  const best = rows.find((row) => row.chosen) ?? null;
  const head = ["Action", "Mean, EUR", best ? "Against chosen" : null, "5 %", "Median", "95 %"].filter(Boolean);
  const cells = ({ profit }) => [
    number(profit.mean), best ? signed(profit.mean - best.profit.mean) : null, number(profit.p05), number(profit.p50), number(profit.p95),
  ].filter((text) => text !== null);
  const line = (row, label) => element(
    "tr", { class: row.chosen ? "chosen" : null }, element("th", { scope: "row", text: label }),
    ...cells(row).map((text) => element("td", { text })),
  );
  const would = tried?.find((row) => row.chosen);
  byId("outcomes-table").replaceChildren(
    element("caption", { class: "small", text: would ? `The other risk aversion would ${would.action}.` : "" }),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col", text })))),
    element("tbody", {}, ...[...rows].reverse().map((row) => line(row, `${actionWord(row.action)}${row.chosen ? " (chosen)" : ""}`))),
  );
}
