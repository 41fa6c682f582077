package httpapi

import (
	"net/http"

	"github.com/gorilla/mux"

	"burrow/api"
	"burrow/internal/httpserve"
)

func (h *handler) peerRoutes(r *mux.Router) {
	r.HandleFunc("/v1/peers", h.listPeers).Methods(http.MethodGet)
	r.HandleFunc("/v1/peers", h.authed(h.registerPeer)).Methods(http.MethodPost)
	r.HandleFunc("/v1/peers/{id}", h.authed(h.heartbeat)).Methods(http.MethodPut)
	r.HandleFunc("/v1/peers/{id}", h.authed(h.leave)).Methods(http.MethodDelete)
}

func (h *handler) listPeers(w http.ResponseWriter, _ *http.Request) {
	httpserve.WriteJSON(w, http.StatusOK, api.PeerPage{Peers: h.dir.GetClients()})
}

func (h *handler) registerPeer(w http.ResponseWriter, r *http.Request, who api.Account) {
	var hb api.Heartbeat
	if err := httpserve.Decode(w, r, maxHeartbeat, &hb); err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	reply, err := h.dir.RegisterClient(r.Context(), who, hb)
	answer(w, r, http.StatusCreated, reply, err)
}

func (h *handler) heartbeat(w http.ResponseWriter, r *http.Request, who api.Account) {
	var hb api.Heartbeat
	if err := httpserve.Decode(w, r, maxHeartbeat, &hb); err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	reply, err := h.dir.Heartbeat(r.Context(), who, mux.Vars(r)["id"], hb)
	answer(w, r, http.StatusOK, reply, err)
}

func (h *handler) leave(w http.ResponseWriter, r *http.Request, who api.Account) {
	answer(w, r, http.StatusNoContent, nil, h.dir.Leave(r.Context(), who, mux.Vars(r)["id"]))
}
