/*
 * Reads the text format of Prometheus (0.0.4) the way a strict collector does: returns {family: {type, samples: [{name,
 * labels, value}]}}, and throws at whatever is not as it must be.
 */
import assert from 'node:assert/strict';

const SUFFIXES = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] };

/* {name: value} of the text between braces. */
function readLabels(text, line) {
    const labels = {};
    let rest = text;
    while (rest) {
        const [all, name, value] = /^([A-Za-z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,(?=.)|$)/.exec(rest) ?? assert.fail(`labels: ${line}`);
        assert.ok(!(name in labels), `label ${name} twice: ${line}`);
        labels[name] = value.replaceAll(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
        rest = rest.slice(all.length);
    }
    return labels;
}

function readSample(line) {
    const [, name, , labels = '', text] = /^([A-Za-z_:][\w:]*)(\{(.*)\})? (\S+)$/.exec(line) ?? assert.fail(`no sample: ${line}`);
    const value = { '+Inf': Infinity, '-Inf': -Infinity, NaN }[text] ?? Number(text);
    assert.ok(text !== '' && (text === 'NaN' || !Number.isNaN(value)), `no number: ${line}`);
    return { name, labels: readLabels(labels, line), value };
}

const key = (labels) => JSON.stringify(Object.entries(labels).sort());

function checkHistogram(name, { samples }) {
    const series = new Map();
    for (const { name: of, labels: { le, ...labels }, value } of samples) {
        const one = series.get(key(labels)) ?? series.set(key(labels), { buckets: [] }).get(key(labels));
        if (of.endsWith('_bucket'))
            one.buckets.push([le === '+Inf' ? Infinity : Number(le), value]);
        else
            one[of.slice(name.length)] = value;
    }
    for (const [labels, { buckets, _sum: sum, _count: count }] of series) {
        assert.ok(sum >= 0 && count >= 0, `${name}${labels} has no sum or no count`);
        assert.equal(buckets.at(-1)[0], Infinity, `${name}${labels} does not end with +Inf`);
        assert.equal(buckets.at(-1)[1], count);
        buckets.slice(1).forEach(([le, value], i) => {
            assert.ok(le > buckets[i][0] && value >= buckets[i][1], `${name}${labels}: ${le} is out of order`);
        });
    }
}

export function readMetrics(text) {
    const families = {}, seen = new Set();
    let current;
    assert.ok(text.endsWith('\n') && !text.includes('\n\n'), 'every line ends, and none is empty');
    for (const line of text.slice(0, -1).split('\n')) {
        const [, kind, name, rest] = /^# (HELP|TYPE) ([A-Za-z_:][\w:]*) (.+)$/.exec(line) ?? [];
        if (kind === 'HELP') {
            assert.ok(!(name in families), `${name} has two groups`);
            current = families[name] = { name, help: rest, samples: [] };
        } else if (kind === 'TYPE') {
            assert.equal(name, current?.name, 'the type belongs to the help');
            assert.ok(!current.type && current.samples.length === 0, `${name}: the type comes once, and first`);
            assert.match(rest, /^(counter|gauge|histogram|summary|untyped)$/);
            current.type = rest;
        } else {
            const sample = readSample(line);
            assert.ok((SUFFIXES[current?.type] ?? ['']).some((end) => sample.name === current.name + end), `outside of its family: ${line}`);
            const one = sample.name + key(sample.labels);
            assert.ok(!seen.has(one), `twice: ${line}`);
            seen.add(one);
            current.samples.push(sample);
        }
    }
    for (const [name, family] of Object.entries(families)) {
        assert.ok(family.type, `${name} has no type`);
        assert.equal(family.type === 'counter', name.endsWith('_total'), `${name} is a ${family.type}`);
        if (family.type === 'histogram')
            checkHistogram(name, family);
    }
    return families;
}
