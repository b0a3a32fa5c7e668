/*
 * A published step never changes.
 *
 * A session is the work in one directory; a task belongs to one. What the full-text search must learn of a task is
 * listed in task_unindexed by triggers, with the words that it knew before, and taken from there at the end of each
 * transaction: FTS5 writes its index out at every statement that fires a trigger into it, which costs more than
 * everything else a write does. task_answers holds what a call was answered, in the transaction that holds what it did.
 * task_origins knows what an imported row was where it came from, also when it is gone here, so that it is taken once.
 */
#include "schema.h"

#include <stddef.h>

const char *const schema_steps[] = {
    "CREATE TABLE task_sessions ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  session_id TEXT NOT NULL UNIQUE,"
    "  directory TEXT NOT NULL,"
    "  origin TEXT NOT NULL," /* where the client worked that made it */
    "  state TEXT NOT NULL CHECK (state IN ('open', 'archived')),"
    "  created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL,"
    "  handover TEXT" /* path of the file */
    ") STRICT;"
    "CREATE INDEX task_sessions_directory ON task_sessions (directory, state, id);"
    "CREATE INDEX task_sessions_updated ON task_sessions (updated_at);"

    "CREATE TABLE task_connections ("
    "  connection TEXT PRIMARY KEY,"
    "  session INTEGER NOT NULL REFERENCES task_sessions (id) ON DELETE CASCADE,"
    "  chosen_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX task_connections_session ON task_connections (session);"
    "CREATE INDEX task_connections_chosen ON task_connections (chosen_at);"

    "CREATE TABLE tasks ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  task_id TEXT NOT NULL UNIQUE,"
    "  session INTEGER NOT NULL REFERENCES task_sessions (id) ON DELETE CASCADE,"
    "  parent INTEGER REFERENCES tasks (id) ON DELETE CASCADE,"
    "  title TEXT NOT NULL,"
    "  description TEXT NOT NULL,"
    "  task_type TEXT NOT NULL CHECK (task_type IN ('standard', 'breakdown', 'milestone', 'review', 'approval',"
    "    'research', 'implementation', 'testing', 'documentation', 'deployment', 'custom')),"
    "  complexity TEXT NOT NULL CHECK (complexity IN ('trivial', 'simple', 'moderate', 'complex', 'very_complex')),"
    "  specialist_type TEXT NOT NULL CHECK (specialist_type IN ('analyst', 'coder', 'tester', 'documenter',"
    "    'reviewer', 'architect', 'devops', 'researcher', 'coordinator', 'generic')),"
    "  status TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'blocked', 'completed', 'failed',"
    "    'cancelled', 'archived')),"
    "  estimated_effort TEXT,"
    "  due_date TEXT,"
    "  context TEXT," /* a JSON object */
    "  summary TEXT," /* of what was done last */
    "  reason TEXT,"  /* why it was cancelled */
    "  created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL,"
    "  started_at INTEGER,"
    "  completed_at INTEGER"
    ") STRICT;"
    "CREATE INDEX tasks_created ON tasks (session, created_at);"
    "CREATE INDEX tasks_status ON tasks (session, status, created_at);"
    "CREATE INDEX tasks_parent ON tasks (parent, status) WHERE parent IS NOT NULL;"

    "CREATE TABLE task_dependencies ("
    "  task INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,"
    "  prerequisite INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,"
    "  PRIMARY KEY (task, prerequisite),"
    "  CHECK (task <> prerequisite)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX task_dependencies_prerequisite ON task_dependencies (prerequisite);"

    "CREATE TABLE task_artifacts ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  artifact_id TEXT NOT NULL UNIQUE,"
    "  task INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,"
    "  artifact_type TEXT NOT NULL,"
    "  next_action TEXT NOT NULL,"
    "  summary TEXT NOT NULL,"
    "  content TEXT," /* or in a file of this name: */
    "  hash TEXT,"
    "  bytes INTEGER NOT NULL,"
    "  file_paths TEXT,"                                              /* a JSON array */
    "  missing INTEGER NOT NULL DEFAULT 0 CHECK (missing IN (0, 1))," /* its file is gone */
    "  created_at INTEGER NOT NULL,"
    "  CHECK ((content IS NULL) <> (hash IS NULL))"
    ") STRICT;"
    "CREATE INDEX task_artifacts_task ON task_artifacts (task);"
    "CREATE INDEX task_artifacts_hash ON task_artifacts (hash) WHERE hash IS NOT NULL;"

    "CREATE TABLE task_answers ("
    "  id INTEGER PRIMARY KEY,"
    "  call TEXT NOT NULL UNIQUE,"
    "  text TEXT NOT NULL,"
    "  value TEXT NOT NULL,"
    "  answered_at INTEGER NOT NULL"
    ") STRICT;"

    "CREATE VIRTUAL TABLE tasks_search USING fts5 (title, description, session, content = 'tasks',"
    "  content_rowid = 'id', tokenize = 'porter unicode61');"
    "CREATE TABLE task_unindexed ("
    "  task INTEGER PRIMARY KEY,"
    "  title TEXT, description TEXT, session INTEGER" /* as the index knows them; NULL: it knows nothing of the task */
    ") STRICT;"
    "CREATE TRIGGER tasks_made AFTER INSERT ON tasks BEGIN"
    "  INSERT INTO task_unindexed (task) VALUES (new.id) ON CONFLICT DO NOTHING; END;"
    "CREATE TRIGGER tasks_changed AFTER UPDATE OF title, description, session ON tasks BEGIN"
    "  INSERT INTO task_unindexed (task, title, description, session)"
    "  VALUES (old.id, old.title, old.description, old.session) ON CONFLICT DO NOTHING; END;"
    "CREATE TRIGGER tasks_gone AFTER DELETE ON tasks BEGIN"
    "  INSERT INTO task_unindexed (task, title, description, session)"
    "  VALUES (old.id, old.title, old.description, old.session) ON CONFLICT DO NOTHING; END;",

    "CREATE TABLE task_templates ("
    "  template_id TEXT PRIMARY KEY,"
    "  template TEXT NOT NULL," /* a JSON object */
    "  created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE task_origins ("
    "  origin TEXT PRIMARY KEY,"
    "  task INTEGER REFERENCES tasks (id) ON DELETE SET NULL,"
    "  artifact INTEGER REFERENCES task_artifacts (id) ON DELETE SET NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX task_origins_task ON task_origins (task) WHERE task IS NOT NULL;"
    "CREATE INDEX task_origins_artifact ON task_origins (artifact) WHERE artifact IS NOT NULL;",

    /* For whoever looks after the database as a whole: the files that rows name. */
    "CREATE VIEW tasks_files (name, bytes) AS SELECT hash, bytes FROM task_artifacts WHERE hash IS NOT NULL;",
    /* And for whoever watches it: how many tasks there are of each status. */
    "CREATE VIEW tasks_figures (name, label, value) AS SELECT 'tasks', status, count(*) FROM tasks GROUP BY status;",
    NULL,
};
