package pluginhost

import (
	"encoding/json"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// newLogger lets go-plugin and the plugin log through log. hclog writes JSON
// lines, which are taken apart again: 20 lines instead of its 20 methods.
func newLogger(log zerolog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "plugin", Level: hclog.Debug, JSONFormat: true, DisableTime: true,
		Output: logWriter{log: log},
	})
}

type logWriter struct{ log zerolog.Logger }

// Write takes one line.
func (w logWriter) Write(line []byte) (int, error) {
	fields := map[string]any{}
	if json.Unmarshal(line, &fields) != nil {
		w.log.Debug().Bytes("line", line).Msg("executor plugin says")
		return len(line), nil
	}
	text, _ := fields["@message"].(string)
	name, _ := fields["@level"].(string)
	level := zerolog.DebugLevel
	switch name {
	case "info": // go-plugin's own "info" is of no interest to people
		level = zerolog.DebugLevel
	case "warn":
		level = zerolog.WarnLevel
	case "error":
		level = zerolog.ErrorLevel
	}
	for _, key := range []string{"@message", "@level", "@module", "@timestamp", "timestamp"} {
		delete(fields, key)
	}
	w.log.WithLevel(level).Str("says", text).Fields(fields).Msg("executor plugin")
	return len(line), nil
}
