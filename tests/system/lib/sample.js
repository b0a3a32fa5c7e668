/* Which of many things a run looks at: all of them with THESEUS_LONG=1, and else some: others with each THESEUS_SAMPLE, a
 * number. */
const PRIMES = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113];

export const long = Boolean(process.env.THESEUS_LONG);
export const seed = Number(process.env.THESEUS_SAMPLE ?? 0);

/* About `wanted` of 1 … `total`, a prime number apart; {numbers, words}. `other` tells apart who asks in the same run. */
export function sample(total, wanted, other = 0) {
    const step = long ? 1 : PRIMES.find((prime) => prime * wanted >= total) ?? PRIMES.at(-1);
    const first = 1 + (seed + other * 17) % step;
    const numbers = Array.from({ length: Math.ceil((total - first + 1) / step) }, (_, i) => first + i * step);
    return { numbers, words: `${numbers.length} of ${total}: each ${step}. from the ${first}.` };
}
