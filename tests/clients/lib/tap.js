/*
 * Lets a recorder listen to a stock SDK transport.
 *
 * The transport stays an object of exactly its own class: the v2 client treats any subclass differently when it probes
 * for the protocol's era. That probe may run in a second process, made by `transport.constructor`, which is tapped too
 * and has a recorder of its own: ids begin anew there.
 */
import { Recorder } from './recorder.js';

export function tap(transport, recorders) {
    const recorder = new Recorder();
    const seen = new WeakSet(); /* the SDK chains the listener that it finds, so one message may pass twice */
    const Stock = transport.constructor;
    const send = transport.send.bind(transport);
    let listener;

    recorders.push(recorder);
    transport.send = (message, ...rest) => {
        recorder.sent(message);
        return send(message, ...rest);
    };
    Object.defineProperty(transport, 'onmessage', {
        configurable: true,
        get: () => listener && ((message, ...rest) => {
            if (!seen.has(message))
                recorder.got(message);
            seen.add(message);
            listener(message, ...rest);
        }),
        set: (next) => {
            listener = next;
        },
    });
    Object.defineProperty(transport, 'constructor', {
        value: function Sibling(parameters) {
            return tap(new Stock(parameters), recorders);
        },
    });
    return transport;
}
