// Line charts as SVG text: no library, no script, readable in a repository's web page in the light and in the dark.

export interface Series {
  readonly name: string;
  /** [x, y] in order of x; a null y leaves a gap. */
  readonly points: readonly (readonly [x: number, y: number | null])[];
  /** Drawn thicker. */
  readonly isOurs?: boolean;
  /** Dashed and grey: not a policy but a limit. */
  readonly isBound?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly yMax: number;
  readonly series: readonly Series[];
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [760, 400, 60, 170, 40, 50] as const;
/** Distinct for the colour-blind as well (after Okabe and Ito), then their darker sisters. */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a00", "#6a3d9a", "#7f5539", "#4d4d4d", "#17becf"] as const;

export function lineChart(chart: Chart): string {
  const xs = chart.series.flatMap((one) => one.points.map(([x]) => x));
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const atX = (x: number): number => LEFT + ((x - least) / Math.max(1e-9, most - least)) * (WIDTH - LEFT - RIGHT);
  const atY = (y: number): number => HEIGHT - BOTTOM - (Math.min(y, chart.yMax) / chart.yMax) * (HEIGHT - TOP - BOTTOM);
  const colours = coloursOf(chart.series);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="22" font-size="15" font-weight="bold">${escaped(chart.title)}</text>`,
    ...[...new Set(xs)].map((x) => tick(atX(x), HEIGHT - BOTTOM, String(x), "middle", 18)),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((part) => {
      const y = atY(part * chart.yMax);
      return [`<line x1="${LEFT}" y1="${fixed(y)}" x2="${WIDTH - RIGHT}" y2="${fixed(y)}" stroke="#ddd"/>`, tick(LEFT - 8, y + 4, trimmed(part * chart.yMax), "end", 0)];
    }),
    `<text x="${fixed((LEFT + WIDTH - RIGHT) / 2)}" y="${HEIGHT - 12}" text-anchor="middle">${escaped(chart.xLabel)}</text>`,
    `<text x="16" y="${fixed((TOP + HEIGHT - BOTTOM) / 2)}" text-anchor="middle" transform="rotate(-90 16 ${fixed((TOP + HEIGHT - BOTTOM) / 2)})">${escaped(chart.yLabel)}</text>`,
    ...chart.series.map((one, i) => drawn(one, colours[i]!, atX, atY)),
    ...chart.series.map((one, i) => legend(one, colours[i]!, i)),
    "</svg>",
  ].join("\n") + "\n";
}

function coloursOf(series: readonly Series[]): string[] {
  let next = 0;
  return series.map((one) => (one.isBound ? "#999999" : one.isOurs ? "#c1121f" : COLOURS[next++ % COLOURS.length]!));
}

function drawn(series: Series, colour: string, atX: (x: number) => number, atY: (y: number) => number): string {
  let path = "";
  let isDown = false;
  for (const [x, y] of series.points) {
    if (y !== null) path += `${isDown ? "L" : "M"}${fixed(atX(x))} ${fixed(atY(y))}`;
    isDown = y !== null;
  }
  const dots = series.points.flatMap(([x, y]) => (y === null || series.isBound ? [] : [`<circle cx="${fixed(atX(x))}" cy="${fixed(atY(y))}" r="${series.isOurs ? 4 : 2.5}" fill="${colour}"/>`]));
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${series.isOurs ? 3 : 1.5}"${series.isBound ? ' stroke-dasharray="5 4"' : ""}/>${dots.join("")}`;
}

function legend(series: Series, colour: string, place: number): string {
  const y = TOP + 8 + place * 20;
  const x = WIDTH - RIGHT + 14;
  return `<line x1="${x}" y1="${y}" x2="${x + 22}" y2="${y}" stroke="${colour}" stroke-width="${series.isOurs ? 3 : 1.5}"${series.isBound ? ' stroke-dasharray="5 4"' : ""}/>`
    + `<text x="${x + 28}" y="${y + 4}"${series.isOurs ? ' font-weight="bold"' : ""}>${escaped(series.name)}</text>`;
}

const tick = (x: number, y: number, text: string, anchor: string, below: number): string => `<text x="${fixed(x)}" y="${fixed(y + below)}" text-anchor="${anchor}" fill="#444">${escaped(text)}</text>`;
const fixed = (value: number): string => value.toFixed(1);
const trimmed = (value: number): string => String(Math.round(value * 100) / 100);
const escaped = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
