/* Numbers and times as people read them. Contract: a number has its unit, a time its offset; what is not known is a dash. */

const NONE = "–";
const MINUS = "\u2212";
const clock = formatter({ hour: "2-digit", minute: "2-digit" });
const clockWithSeconds = formatter({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const offset = formatter({ timeZoneName: "longOffset" });
const day = formatter({ weekday: "short", day: "numeric", month: "short" });

function formatter(parts) {
  return new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Brussels", hourCycle: "h23", ...parts });
}

export function number(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const rounded = Number(value.toFixed(digits));
  const text = Math.abs(rounded).toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return (rounded < 0 ? MINUS : "") + text.replaceAll(",", "\u202f");
}

export function signed(value, digits = 2) {
  const text = number(value, digits);
  return text !== NONE && Number(value.toFixed(digits)) > 0 ? `+${text}` : text;
}

export const eur = (value, digits = 2) => (known(value) ? `${signed(value, digits)} EUR` : NONE);
export const price = (value) => (known(value) ? `${number(value)} EUR/MWh` : NONE);
export const mw = (value) => (known(value) ? `${signed(value, 3)} MW` : NONE);
export const percent = (fraction, digits = 0) => (known(fraction) ? `${number(100 * fraction, digits)} %` : NONE);
export const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export function offsetOf(date) {
  const part = offset.formatToParts(date).find((each) => each.type === "timeZoneName").value;
  return part.replace("GMT", "") || "+00:00";
}

export const hourMinute = (date) => clock.format(date);
export const brussels = (date) => `${clock.format(date)} ${offsetOf(date)}`;
export const brusselsExact = (date) => `${clockWithSeconds.format(date)} ${offsetOf(date)}`;
export const brusselsDay = (date) => `${day.format(date)}, ${clock.format(date)} ${offsetOf(date)}`;
export const utc = (date) => `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A length of time in words. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
