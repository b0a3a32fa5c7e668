/* The tools; each file has the function of one or two, and what they take and answer. */
#pragma once

#include "work.h"

work_fn tool_initialize, tool_list_sessions, tool_resume, tool_session_status, tool_cleanup;
work_fn tool_plan, tool_update, tool_delete, tool_cancel;
work_fn tool_query, tool_execute, tool_complete, tool_complete_prepare, tool_synthesize, tool_status;
work_fn tool_maintenance;
work_fn tool_template_list, tool_template_load, tool_template_create, tool_template_validate, tool_template_delete;
work_fn tool_template_instantiate;
work_fn tool_import, tool_import_prepare;

extern const char initialize_input[], initialize_output[];
extern const char list_sessions_input[], list_sessions_output[];
extern const char resume_input[], resume_output[];
extern const char session_status_input[], session_status_output[];
extern const char cleanup_input[], cleanup_output[];
extern const char plan_input[], plan_output[];
extern const char update_input[], update_output[];
extern const char delete_input[], delete_output[];
extern const char cancel_input[], cancel_output[];
extern const char query_input[], query_output[];
extern const char execute_input[], execute_output[];
extern const char complete_input[], complete_output[];
extern const char synthesize_input[], synthesize_output[];
extern const char status_input[], status_output[];
extern const char maintenance_input[], maintenance_output[];
extern const char template_list_input[], template_list_output[];
extern const char template_load_input[], template_load_output[];
extern const char template_create_input[], template_create_output[];
extern const char template_validate_input[], template_validate_output[];
extern const char template_delete_input[], template_delete_output[];
extern const char template_instantiate_input[], template_instantiate_output[];
extern const char import_input[], import_output[];
