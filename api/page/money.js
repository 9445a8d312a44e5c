/* The day's profit as it grew, quarter-hour by quarter-hour. */

import { byId, say } from "./dom.js";
import { axis, colour, draw, faint, timeAxis, when } from "./figures.js";
import { eur, number } from "./format.js";

const STAGES = { validated: "validated price", near_real_time: "published price", indicative: "indicative price" };
const QUARTER_HOUR_MS = 900_000;

export function drawDay(day) {
  const place = byId("day");
  const known = day.quarter_hours.filter((each) => each.profit_eur !== null);
  place.hidden = known.length === 0;
  if (known.length === 0) {
    say("day-note", "Nothing has flowed at a known price today.");
    return;
  }
  const starts = known.map((each) => Date.parse(each.start));
  let total = 0;
  const totals = known.map((each) => (total += each.profit_eur));
  const bars = {
    name: "Quarter-hour", type: "bar", x: starts.map((ms) => ms + QUARTER_HOUR_MS / 2), y: known.map((each) => each.profit_eur),
    width: QUARTER_HOUR_MS, customdata: known.map((each, at) => [when(starts[at]), STAGES[each.price_stage], number(each.energy_mwh, 3)]),
    marker: { color: known.map((each) => faint(each.energy_mwh < 0 ? "charge" : "discharge", each.price_stage === "indicative" ? 0.3 : 0.75)) },
    hovertemplate: "%{y:.2f} EUR for %{customdata[2]} MWh<br>%{customdata[1]}<br>%{customdata[0]}<extra></extra>",
  };
  const line = {
    name: "Since midnight", x: [starts[0], ...starts.map((ms) => ms + QUARTER_HOUR_MS)], y: [0, ...totals], mode: "lines",
    line: { color: colour("final"), width: 2.2, shape: "hv" }, hovertemplate: "since midnight %{y:.2f} EUR<extra></extra>",
  };
  say("day-note", `Bars: each quarter-hour, pale while its price is indicative; line: their sum, ${eur(total)}. The store is not in it.`);
  draw(place, [bars, line], {
    margin: { l: 56, r: 12, t: 30, b: 36 }, hovermode: "closest", yaxis: axis("EUR"),
    xaxis: timeAxis(Date.parse(day.begins_at), Math.max(Date.parse(day.now), starts.at(-1) + QUARTER_HOUR_MS), place.clientWidth),
  });
}
