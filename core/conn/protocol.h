/*
 * What `theseus connect` and the server's socket say to each other beside the client's own lines, framed as those are.
 * C is connect, S the server.
 *
 *   message                who, when                       what it says
 *   ---------------------  ------------------------------  ----------------------------------------------------------
 *   theseus/hello          C, first line of a connection   {protocol, version, directory, pid}
 *     its result           S                               {protocol, version, pid, boot_id, session, secret}
 *   theseus/resume         C, instead of hello, on a       {protocol, version, directory, pid, session, secret,
 *                          further connection, when the    unanswered: [ids, in the order in which they were asked],
 *                          one before is read to its end;  received: N}
 *                          nothing more before its answer
 *     its result           S                               {protocol, version, pid, boot_id, session, fates: [{id,
 *                                                          fate}, in that order]}; then the answers that C has not had
 *     its error            S                               data.reason: "unknown session", "wrong secret", "too many
 *                                                          failures"; C says hello on the same connection
 *   theseus/ack            C, notification, with its next  {received: N}: these answers need not be kept
 *                          line or 100 ms later
 *   theseus/bye            C, notification                 the session ends with this connection; what was asked is
 *                                                          still answered
 *
 *   fate          of a request that C has no answer for             what C does
 *   ------------  ------------------------------------------------  ---------------------------------------------------
 *   never seen    S has not accepted it                             sends it again
 *   pending       S works on it, or holds it                        waits
 *   answered      the text follows, once                            passes it on
 *   uncertain     S has accepted it, or not: records are lost       answers that it may have been executed; sends what
 *                                                                   only tells again
 *
 * N counts lines with answers to requests since hello: an array of answers is one, errors without an id, notifications
 * and the answers to hello and resume are none. Of what C has written it names in `unanswered` what has left as a
 * whole; what S has accepted and C does not name was cancelled meanwhile, and S cancels it. Ids that begin with
 * "theseus:" are C's own. Both understand a protocol that is one apart, and speak the lower one.
 */
#pragma once

enum { PROTOCOL_VERSION = 1 };
