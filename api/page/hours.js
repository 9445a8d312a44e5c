/* The last hours: prices above, power in the middle, state of charge below, on one time axis. */

import { byId, say } from "./dom.js";
import { axis, colour, draw, faint, points, steps, timeAxis, when } from "./figures.js";
import { mw, number, percent, price } from "./format.js";
import { actionWord, fallbackSentence, priceSeen } from "./sentences.js";

const HOUR_MS = 3_600_000;

export function drawHours(watch) {
  const place = byId("hours");
  const nowMs = watch.now.getTime();
  const [fromMs, untilMs] = [nowMs - watch.hours * HOUR_MS, nowMs + Math.max(0.1, watch.hours / 12) * HOUR_MS];
  const decisions = watch.decisions.filter((each) => Date.parse(each.valid_until) > fromMs);
  const traces = [...priceTraces(watch.prices, decisions), ...powerTraces(decisions), socTrace(decisions)];
  const line = { type: "line", yref: "paper", y0: 0, y1: 1, x0: nowMs, x1: nowMs, line: { color: colour("soft"), width: 1, dash: "dot" } };
  say("hours-note", note(watch, decisions));
  return draw(place, traces, {
    hovermode: "x", shapes: [line], margin: { l: 56, r: 12, t: 46, b: 36 },
    xaxis: { ...timeAxis(fromMs, untilMs, place.clientWidth), anchor: "y3" },
    yaxis: axis("EUR/MWh", { domain: [0.5, 1], ...priceRange(traces, fromMs, untilMs) }),
    yaxis2: axis("MW", { domain: [0.25, 0.44], rangemode: "tozero" }),
    yaxis3: axis("SoC, %", { domain: [0, 0.19], range: [0, 100] }),
  });
}

function priceTraces(prices, decisions) {
  const final = steps(prices?.imbalance_price_eur_mwh);
  const ahead = steps(prices?.day_ahead_price_eur_mwh);
  const indicative = prices?.indicative_price_eur_mwh ? points(prices.indicative_price_eur_mwh) : seenPrices(decisions);
  const trace = (name, series, line) => ({
    name, x: series.x, y: series.y, mode: "lines", line, customdata: series.x.map(when),
    hovertemplate: `${name}: %{y:.2f} EUR/MWh<br>%{customdata}<extra></extra>`,
  });
  const made = [trace("Indicative", indicative, { color: colour("indicative"), width: 1.4 })];
  if (final.x.length) made.push(trace("Final", final, { color: colour("final"), width: 2.2, shape: "hv" }));
  if (ahead.x.length) made.push(trace("Day-ahead", ahead, { color: colour("ahead"), width: 1.5, dash: "dot", shape: "hv" }));
  return made;
}

/** Where the market itself is not given, the prices that decisions saw. */
function seenPrices(decisions) {
  return { x: decisions.map((each) => Date.parse(each.valid_from)), y: decisions.map(priceSeen) };
}

function powerTraces(decisions) {
  const flat = flattened(decisions);
  const side = (name, key, keep) => ({
    name, x: flat.x, y: flat.power.map((value) => (value === null ? null : keep(value))), yaxis: "y2", mode: "lines", fill: "tozeroy",
    line: { color: colour(key), width: 1, shape: "hv" }, fillcolor: faint(key, 0.35), hoverinfo: "skip",
  });
  const given = {
    name: "Power", x: decisions.map((each) => Date.parse(each.valid_from)), y: decisions.map((each) => each.setpoint.power_mw),
    yaxis: "y2", mode: "markers", marker: { size: 6, opacity: 0 }, showlegend: false,
    customdata: decisions.map((each) => [mw(each.setpoint.power_mw), actionWord(each.setpoint.action), when(Date.parse(each.valid_from))]),
    hovertemplate: "%{customdata[1]} %{customdata[0]}<br>%{customdata[2]}<extra></extra>",
  };
  return [
    side("Discharge", "discharge", (value) => Math.max(0, value)), side("Charge", "charge", (value) => Math.min(0, value)), given,
    markers("Last good data", decisions.filter((each) => each.fallback.level === 1), "circle-open", colour("warn"), level),
    markers("Rule or hold", decisions.filter((each) => each.fallback.level > 1), "triangle-up", colour("bad"), level),
    markers("By order", decisions.filter((each) => each.mode !== "policy"), "square", colour("warn"), (each) => each.mode.replace("_", " ")),
  ].filter((trace) => trace.x.length);
}

const level = (decision) => `level ${fallbackSentence(decision.fallback)}`;

function markers(name, decisions, symbol, ink, words) {
  return {
    name, x: decisions.map((each) => Date.parse(each.valid_from)), y: decisions.map(() => 0), yaxis: "y2", mode: "markers",
    marker: { symbol, color: ink, size: 7 }, text: decisions.map(words), hovertemplate: `${name}: %{text}<extra></extra>`,
  };
}

function socTrace(decisions) {
  const flat = flattened(decisions);
  return {
    name: "State of charge", x: flat.x, y: flat.soc, yaxis: "y3", mode: "lines", fill: "tozeroy", showlegend: false,
    line: { color: colour("accent"), width: 2 }, fillcolor: faint("accent", 0.15), customdata: flat.x.map(when),
    hovertemplate: "SoC %{y:.1f} %<br>%{customdata}<extra></extra>",
  };
}

/** Decisions as one line: each ends where the next begins, and a time without any is a gap. */
function flattened(decisions) {
  const [x, power, soc] = [[], [], []];
  const add = (ms, mwValue, fraction) => {
    x.push(ms);
    power.push(mwValue);
    soc.push(fraction === null ? null : 100 * fraction);
  };
  decisions.forEach((each, at) => {
    const next = decisions[at + 1] ? Date.parse(decisions[at + 1].valid_from) : Infinity;
    const until = Date.parse(each.valid_until);
    add(Date.parse(each.valid_from), each.setpoint.power_mw, each.expected.soc_fraction_start);
    if (next <= until) return;
    add(until, each.setpoint.power_mw, each.expected.soc_fraction_end);
    if (next < Infinity) add(until, null, null);
  });
  return { x, power, soc };
}

/** What can be seen of the prices, so that one wild hour outside does not flatten the rest. */
function priceRange(traces, fromMs, untilMs) {
  const shown = traces
    .filter((trace) => trace.yaxis === undefined)
    .flatMap((trace) => trace.y.filter((value, at) => value !== null && trace.x[at] >= fromMs - HOUR_MS && trace.x[at] <= untilMs));
  if (shown.length === 0) return {};
  const [low, high] = [Math.min(0, ...shown), Math.max(0, ...shown)];
  const room = 0.06 * Math.max(10, high - low);
  return { range: [low - room, high + room] };
}

function note(watch, decisions) {
  const last = decisions.at(-1);
  if (!last) return "No decision in this window.";
  const soc = percent(last.expected.soc_fraction_end);
  const given = watch.prices === null ? " This process has read no market for the asset yet; the prices are those that decisions saw." : "";
  return `${decisions.length} decisions in ${number(watch.hours, 0)} h. Newest price seen ${price(priceSeen(last))}, power ${mw(last.setpoint.power_mw)}, state of charge after it ${soc}.${given}`;
}
