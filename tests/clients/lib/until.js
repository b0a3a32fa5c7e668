/* Waiting for a condition instead of for a time: asks again until the answer is true, and says what never came. */

export const DEADLINE_MS = 15_000;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, condition, deadlineMs = DEADLINE_MS) {
    const end = Date.now() + deadlineMs;
    for (;;) {
        const value = await condition();
        if (value)
            return value;
        if (Date.now() > end)
            throw new Error(`${what}: not within ${deadlineMs} ms`);
        await pause(10);
    }
}

/* The promise's value, or an error that names what was waited for. */
export async function within(what, promise, deadlineMs = DEADLINE_MS) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}
