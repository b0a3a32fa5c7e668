/*
 * The benchmark's chart: one panel for each workload, one bar for each server, drawn by hand as SVG. It carries its own
 * colours for light and dark pages. The floor program would dwarf every bar; its number stands below them.
 */
const WIDTH = 860, PANEL = 410, GAP = 40, TOP = 64, TITLE = 30, ROW = 26, BAR = 16, LABEL = 104, VALUE = 76;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .head { font-size: 17px; font-weight: 600; }
  .title { font-weight: 600; }
  .note, .value { fill: #59636e; }
  .value { font-variant-numeric: tabular-nums; }
  .bar { fill: #9aa4af; }
  .ours { fill: #0b6bcb; }
  .axis { stroke: #d1d9e0; }
  .page { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note, .value { fill: #9198a1; }
    .bar { fill: #6e7681; }
    .ours { fill: #4493f8; }
    .axis { stroke: #3d444d; }
    .page { fill: #0d1117; }
  }`;

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
export const thousands = (number) => Math.round(number).toLocaleString('en-US');

function bars(rows, y) {
    const most = Math.max(...rows.map((row) => row.value));
    const room = PANEL - LABEL - VALUE;
    return rows.map((row, i) => {
        const top = y + i * ROW, middle = top + BAR / 2 + 5;
        const width = Math.max(1, row.value / most * room).toFixed(1);
        return `<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escape(row.name)}</text>
<rect class="bar${row.ours ? ' ours' : ''}" x="${LABEL}" y="${top}" width="${width}" height="${BAR}" rx="2"/>
<text class="value" x="${(LABEL + Number(width) + 6).toFixed(1)}" y="${middle}">${thousands(row.value)}</text>`;
    }).join('\n');
}

function panel({ title, rows, note }, x, y) {
    const end = TITLE + rows.length * ROW;
    return `<g transform="translate(${x} ${y})">
<text class="title" x="${LABEL}" y="14">${escape(title)}</text>
${bars(rows, TITLE)}
<line class="axis" x1="${LABEL}" y1="${TITLE - 6}" x2="${LABEL}" y2="${end - 2}"/>
<text class="note" x="${LABEL}" y="${end + 16}">${escape(note)}</text>
</g>`;
}

/* `panels`: [{title, rows: [{name, value, ours}], note}], two abreast. */
export function chart(heading, panels) {
    const height = TITLE + Math.max(...panels.map((p) => p.rows.length)) * ROW + 44;
    const drawn = panels.map((p, i) => panel(p, (i % 2) * (PANEL + GAP), TOP + Math.floor(i / 2) * height));
    const total = TOP + Math.ceil(panels.length / 2) * height;
    const box = `viewBox="0 0 ${WIDTH} ${total}" role="img" aria-label="${escape(heading)}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${box}>
<style>${STYLE}
</style>
<rect class="page" width="${WIDTH}" height="${total}"/>
<text class="head" x="16" y="32">${escape(heading)}</text>
${drawn.join('\n')}
</svg>
`;
}
