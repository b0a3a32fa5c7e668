/* Servers with plugins in processes of their own. */
import { serving } from './client.js';

export const isolation = (names, more = {}) => Object.fromEntries(
    names.map((name) => [`plugin:${name}`, { '.isolation': 'process', ...more }]));

/* `body(client, home)` with the fixtures `names`, each in a process of its own; `sections` is what else is configured. */
export function isolated(names, body, { sections = {}, more, ...options } = {}) {
    const all = { ...isolation(names, more), ...sections };
    return serving(async (client, home) => {
        home.isolate = (extra = {}) => home.configure({ ...all, ...extra });
        await body(client, home);
    }, {
        ...options,
        prepare: (home) => {
            home.configure(all);
            names.forEach((name) => home.drop(name));
        },
    });
}

/* What there is to be seen of that plugin's process. */
export async function processOf(client, name) {
    const plugin = await client.plugin(name);
    return plugin && { isolation: plugin.isolation, ...plugin.process };
}
